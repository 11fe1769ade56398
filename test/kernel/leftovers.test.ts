/**
 * A burst of changes under packets that never stop: what nothing reaches any more stays in the kernel until the burst is over, no packet
 * meets it, and then nothing of it is left. Somebody else's rule in the midst of it does no harm.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { changingStates, watchedFlows } from './changing-states.ts';
import { imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';
import { inside } from './raw-packets.ts';
import { slowness } from './slowness.ts';

const families = ['ipv4', 'ipv6'] as const;
const [first, second] = changingStates;
/** Our own rules carry a comment: this one has old rules below it. */
const lid = /^-A (cali-\S+|KUBE-\S+) -j RETURN$/m;

describeKernel('a burst of changes', () => {
  let lab: TestLab;
  let temporary: string;
  let place: AgentPlace;
  let agent: AgentProcess;
  const images = new Map<string, string>();

  beforeAll(async () => {
    lab = await testLab({ 'cluster.yaml': second }, { cni: 'ptp', ipFamilies: families, agents: false });
    temporary = await mkdtemp(join(tmpdir(), 'sluice-leftovers-'));
    place = { ...(await placeInLab(lab, temporary, { variant: 'nft' })), flags: ['--resync-seconds', '3600'] };
    agent = await AgentProcess.start(place);
    images.set(second, await lastingImageOf(place));
    await bringTo(first);
    images.set(first, await lastingImageOf(place));
  }, 400_000);

  afterAll(async () => {
    await agent?.end('SIGKILL');
    await cleanNode(place);
    await lab?.down();
    await rm(temporary, { recursive: true });
  });

  async function bringTo(state: string): Promise<void> {
    await lab.write('cluster.yaml', state);
    await agent.untilSettled(state.split('kind: NetworkPolicy').length - 1);
  }

  async function drifts(): Promise<readonly string[]> {
    return (await agent.log()).split('\n').filter((line) => line.includes('"drift was mended"'));
  }

  test('no wrong packet while old rules lie below new ones, and in the end nothing but what a fresh agent writes', async () => {
    const watch = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
    let covered = 0;
    try {
      for (let round = 0; round < 12; round += 1) {
        await bringTo(round % 2 === 0 ? second : first);
        if (lid.test(await imageOf(place))) covered += 1;
      }
      await expect.poll(() => imageOf(place), { timeout: 20_000 }).toBe(images.get(first));
    } finally {
      const { leaked, lost, least } = await watch.stop();
      process.stdout.write(
        `a burst of changes: old rules were there after ${covered} of 12, ${least} packets of each flow\n`,
      );
      expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
      expect(least).toBeGreaterThan(50);
    }
    expect(covered).toBeGreaterThan(3);
    expect(await drifts()).toEqual([]);
    expect(await lastingImageOf(place)).toBe(images.get(first));
  });

  test('a rule of somebody else above the new rules, while old ones lie below: mended, and no rule of ours is lost', async () => {
    const watch = await PacketWatch.start({ lab: lab.state, families, denied: watchedFlows.denied, allowed: [] });
    let state = first;
    try {
      let chain: string | undefined;
      for (let round = 0; chain === undefined && round < 10; round += 1) {
        state = state === first ? second : first;
        await bringTo(state);
        chain = lid.exec(await inside(place.netns, ['iptables-nft-save', '-t', 'filter']))?.[1];
      }
      // Nothing that a denied packet would be let through by.
      await inside(place.netns, ['iptables-nft', '-I', chain ?? '', '-s', '192.0.2.1', '-j', 'ACCEPT']);
      const wanted = images.get(state);
      await untilTrue('it is mended', async () => (await imageOf(place)) === wanted, 5_000 * slowness() + 5_000);
      expect(await drifts()).toHaveLength(1);
      expect((await drifts())[0]).toContain(chain);
    } finally {
      const { leaked } = await watch.stop();
      expect(leaked).toEqual([]);
    }
  });

  test('killed in a burst: the next agent leaves nothing of it', async () => {
    await bringTo(second);
    await bringTo(first);
    await agent.end('SIGKILL');
    agent = await AgentProcess.start(place);
    // A set is held a moment longer than its last rule, and destroyed by the next look.
    await expect.poll(() => imageOf(place), { timeout: 20_000 }).toBe(images.get(first));
  });
});
