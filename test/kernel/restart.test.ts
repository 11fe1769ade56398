/** The agent's end and its next start, on a real kernel: what stays, what is not written again, what is mended, what is nobody's business. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { spawnProcess } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { addForeignRules } from './foreign-rules.ts';
import { countersOf, foreignImageOf, handlesOf, imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { arrivalsWhile } from './raw-packets.ts';
import { addressOfPod, all, policyText, trapManifests, verdictsOf } from './trap-cluster.ts';

const choices = [
  { cni: 'ptp', variant: 'nft' },
  { cni: 'bridge', variant: 'legacy' },
] as const;
const families = ['ipv4', 'ipv6'] as const;

for (const { cni, variant } of choices) {
  describeKernel(`the agent started again: ${cni}, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let before: string;
    let running: AgentProcess | undefined;

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': trapManifests }, { cni, ipFamilies: families, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-restart-'));
      place = await placeInLab(lab, temporary, { variant });
      await addForeignRules(place);
      before = await foreignImageOf(place);
      expect(before).toContain('mycali');
    });

    afterAll(async () => {
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    beforeEach(async () => {
      running = await AgentProcess.start(place);
    });

    /** Every test ends with a clean node: nothing of ours, everything foreign as it was. */
    afterEach(async () => {
      await running?.end('SIGKILL');
      await cleanNode(place);
      expect(await foreignImageOf(place)).toBe(before);
      expect(await imageOf(place)).not.toMatch(/cali-|cali[46]0|KUBE-S/);
    });

    test('with nothing changed it writes nothing, and every counter goes on', async () => {
      expect(await running?.writes()).toMatchObject({ [`iptables-${variant}-restore`]: expect.any(Number) });
      await expectPoliced();
      const exit = await running?.end('SIGTERM');
      expect(exit).toEqual({ exitCode: 0 });
      const [image, counters] = [await imageOf(place), await countersOf(place)];
      const handles = variant === 'nft' ? await handlesOf(place.netns) : '';
      expect([...counters].filter(([rule, count]) => rule.includes('-A cali-') && count > 0).length).toBeGreaterThan(
        20,
      );
      running = await AgentProcess.start(place);
      expect(await running.writes()).toEqual({});
      expect(await imageOf(place)).toBe(image);
      if (variant === 'nft') expect(await handlesOf(place.netns)).toBe(handles);
      const after = await countersOf(place);
      expect([...after.keys()]).toEqual([...counters.keys()]);
      expect([...counters].filter(([rule, count]) => (after.get(rule) ?? 0) < count)).toEqual([]);
    });

    test.each(['SIGTERM', 'SIGKILL'] as const)('after %s everything stays and holds', async (signal) => {
      const image = await imageOf(place);
      await running?.end(signal);
      expect(await imageOf(place)).toBe(image);
      await expectPoliced();
      expect(await foreignImageOf(place)).toBe(before);
      await cleanNode(place);
      expect(await cleanNode(place)).toContain('nothing of Sluice was on this node');
    });

    test('what changed while it was dead is made up for, and nothing of the old is left', async () => {
      await running?.end('SIGKILL');
      await lab.write('cluster.yaml', trapManifests.replace('name: server, labels: { app: server }', 'name: server'));
      await lab.write('more.yaml', policyText('open', 'policyTypes: [Ingress]'));
      await lab.remove('more.yaml');
      await lab.write('open.yaml', policyText('open', 'policyTypes: [Ingress]'));
      running = AgentProcess.launch(place);
      await running.untilSettled(5);
      const flows = { 'mallory -> server': 'allowed', 'mallory -> open': 'denied', 'friend -> jailed': 'denied' };
      expect(await verdictsOf(lab.state, Object.keys(flows))).toEqual(flows);
      const mended = await lastingImageOf(place);
      expect(await imageAfterFreshStart()).toBe(mended);
      await lab.write('cluster.yaml', trapManifests);
      await lab.remove('open.yaml');
      await running.untilSettled(4);
      await expectPoliced();
      const changedInPlace = await lastingImageOf(place);
      expect(await imageAfterFreshStart()).toBe(changedInPlace);
    });

    test('killed in the middle of its first writes, again and again, it ends where a fresh one does', async () => {
      const image = await imageOf(place);
      await running?.end('SIGKILL');
      await cleanNode(place);
      for (const afterMs of [0, 100, 200, 300, 500]) {
        const killed = AgentProcess.launch(place);
        await killed.untilAboutToWrite();
        await pause(afterMs);
        await killed.end('SIGKILL');
        expect(await foreignImageOf(place)).toBe(before);
      }
      running = await AgentProcess.start(place);
      await expect.poll(() => imageOf(place), { timeout: 10_000 }).toBe(image);
      await expectPoliced();
    });

    test('not one packet gets through while it is killed, started again and told of changes', async () => {
      const port = 42_000;
      const isThrough = async (act: () => Promise<void>): Promise<boolean> => {
        const targets = families.map((family) => addressOfPod(lab.state, 'server', family));
        const script = join(import.meta.dirname, 'send-datagrams.pl');
        const argv = ['perl', script, String(port), ...targets] as const;
        const mallory = `--net=/run/netns/${namespaceOf(lab.state, 'mallory')}`;
        const sender = spawnProcess(['nsenter', mallory, ...argv]);
        const { ports } = await arrivalsWhile(namespaceOf(lab.state, 'server'), 'prerouting', act);
        sender.kill('SIGKILL');
        await sender.exited;
        return ports.has(port);
      };
      const die = async (): Promise<void> => {
        for (const round of [1, 2, 3]) {
          await running?.end('SIGKILL');
          running = AgentProcess.launch(place);
          await running.untilAboutToWrite();
          await pause(150 * round);
          await lab.write('more.yaml', policyText('open', `policyTypes: [${round === 2 ? 'Egress' : 'Ingress'}]`));
          await lab.write('cluster.yaml', trapManifests.replace('app: friend }', `app: friend, round: "${round}" }`));
        }
        await running?.untilSettled(5);
      };
      expect(await isThrough(die)).toBe(false);
      await lab.remove('more.yaml');
      await lab.write('cluster.yaml', trapManifests.replace('ingress: [{ from', 'ingress: [{}, { from'));
      await running?.untilSettled(4);
      expect(await isThrough(() => pause(500))).toBe(true);
    });

    async function imageAfterFreshStart(): Promise<string> {
      await running?.end('SIGTERM');
      await cleanNode(place);
      running = await AgentProcess.start(place);
      return imageOf(place);
    }

    async function expectPoliced(): Promise<void> {
      const allowed = ['friend -> server', 'mallory -> open', 'node/node-a -> jailed', 'far -> mute'];
      const denied = ['mallory -> server', 'far -> server', 'friend -> jailed', 'mute -> open'];
      const found = await verdictsOf(lab.state, [...allowed, ...denied]);
      expect(found).toEqual({ ...all('allowed', allowed), ...all('denied', denied) });
    }
  });
}
