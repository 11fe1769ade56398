/**
 * What somebody does to rules of ours under a running agent, and how soon it is mended: with nf_tables by the kernel's events alone, with
 * legacy tables by the look of every two seconds alone. The full compare comes once an hour here, and the look with nf_tables as well.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { inside } from './raw-packets.ts';
import { slowness } from './slowness.ts';
import { trapManifests } from './trap-cluster.ts';

const anHour = ['--resync-seconds', '3600'];
const variants = [
  { variant: 'nft', flags: [...anHour, '--drift-check-seconds', '3600'], leastMs: 1_000 },
  // Two seconds to the look, one for what follows.
  { variant: 'legacy', flags: anHour, leastMs: 3_000 },
] as const;

const foreign = '-A FORWARD -j ACCEPT';

/** Arguments of `iptables`. */
const disturbances: readonly (readonly [name: string, ...acts: string[]])[] = [
  ['a jump of ours is deleted', '-D FORWARD 1'],
  ['a rule is inserted above ours', '-I FORWARD -j ACCEPT'],
  ['a rule is inserted into a chain of ours', '-I cali-FORWARD -j ACCEPT'],
  ['a rule of a chain of ours is deleted', '-D cali-FORWARD 1'],
  ['a rule of a chain of ours is replaced', '-R cali-FORWARD 1 -j RETURN'],
  ['a chain of ours is flushed', '-F cali-FORWARD'],
  ['a chain is made under a name of ours', '-N cali-strange'],
  ['a chain of Services is flushed', '-t nat -F KUBE-SERVICES'],
  ['a rule is inserted into the source check', '-t raw -I cali-PREROUTING -j RETURN'],
  ['all filter rules are flushed', '-F'],
];

for (const { variant, flags, leastMs } of variants) {
  describeKernel(`what somebody does to our rules, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let agent: AgentProcess;
    let image: string;
    let comparedBefore = 0;

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': trapManifests }, { cni: 'ptp', agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-mended-'));
      place = { ...(await placeInLab(lab, temporary, { variant })), flags };
      agent = await AgentProcess.start(place);
      image = await lastingImageOf(place);
      // What follows a write of ours is no drift.
      expect(await repairs()).toEqual([]);
    });

    afterEach(async () => {
      // Who changes rules again and again is followed for a tenth of the time (agent/compare-period): each of these is the first.
      await pause(10_000 * (await compareSeconds()) + 500);
      if ((await imageOf(place)).includes(foreign)) await iptables('-D FORWARD -j ACCEPT');
    });

    afterAll(async () => {
      await agent?.end('SIGKILL');
      await cleanNode(place);
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    async function iptables(args: string): Promise<void> {
      await inside(place.netns, [`iptables-${variant}`, ...args.split(' ')]);
    }

    /** Of the compares since it was last asked for. */
    async function compareSeconds(): Promise<number> {
      const metrics = await inside(place.netns, ['curl', '-sS', 'http://127.0.0.1:9840/metrics']);
      const all = Number(/^sluice_apply_duration_seconds_sum\{kind="compare"\} (\S+)$/m.exec(metrics)?.[1]);
      const since = all - comparedBefore;
      comparedBefore = all;
      return since;
    }

    async function repairs(): Promise<readonly string[]> {
      return (await agent.log()).split('\n').filter((line) => line.includes('"drift was mended"'));
    }

    /** The foreign rule may be there, but not above ours. */
    async function isMended(): Promise<boolean> {
      const found = (await imageOf(place)).split('\n');
      const [first] = found.filter((line) => line.startsWith('-A FORWARD '));
      return first !== foreign && found.filter((line) => line !== foreign).join('\n') === image;
    }

    test.each(disturbances)('%s: mended, and told', async (name, ...acts) => {
      const before = await repairs();
      const started = performance.now();
      for (const act of acts) await iptables(act);
      const limit = leastMs * slowness() + 2_000;
      await untilTrue(name, isMended, limit);
      process.stdout.write(`${variant}: ${name}: mended within ${Math.round(performance.now() - started)} ms\n`);
      await untilTrue('it is told', async () => (await repairs()).length > before.length);
      expect((await repairs()).at(-1)).toMatch(/"before":".*"after":"/);
    });
  });
}
