/** `sluice cleanup` on a real kernel: allowed traffic never stops, also when it is killed at any write and called again; nothing foreign is touched. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { spawnProcess } from '../../src/backends/exec.ts';
import { AgentProcess, cleanNode, placeInLab, type AgentPlace } from './agent-process.ts';
import { watchedFlows } from './changing-states.ts';
import { addForeignRules } from './foreign-rules.ts';
import { foreignImageOf, imageOf } from './kernel-image.ts';
import { KillPoints } from './kill-wrappers.ts';
import { testLab, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';
import { inside } from './raw-packets.ts';
import { trapManifests } from './trap-cluster.ts';

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`cleanup, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let foreign: string;
    let points: KillPoints;

    beforeAll(async () => {
      lab = await testLab(
        { 'cluster.yaml': trapManifests },
        { cni: 'bridge', ipFamilies: ['ipv4', 'ipv6'], agents: false },
      );
      temporary = await mkdtemp(join(tmpdir(), 'sluice-cleanup-'));
      points = await KillPoints.create(temporary, variant);
      place = await placeInLab(lab, temporary, { variant });
      await addForeignRules(place);
      foreign = await foreignImageOf(place);
    }, 400_000);

    afterAll(async () => {
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    async function programmed(): Promise<void> {
      const agent = await AgentProcess.start(place);
      await agent.end('SIGTERM');
      expect(await imageOf(place)).toContain('cali-tw-');
    }

    /** Packets of flows that policy allows: none may be lost. What was denied is allowed at the end, and nobody's business here. */
    async function undisturbed(act: () => Promise<void>): Promise<void> {
      const watch = await PacketWatch.start({
        lab: lab.state,
        families: ['ipv4', 'ipv6'],
        denied: [],
        allowed: watchedFlows.allowed,
      });
      await act().finally(() => watch.stop());
      const { lost, least } = await watch.stop();
      expect(lost).toEqual([]);
      expect(least).toBeGreaterThan(20);
    }

    async function expectNothingLeft(): Promise<void> {
      expect(await foreignImageOf(place)).toBe(foreign);
      expect(await imageOf(place)).not.toMatch(/cali-|cali[46][0t]|KUBE-S/);
      expect(await cleanNode(place)).toContain('nothing of Sluice was on this node');
    }

    test('takes everything of ours in an order that drops nothing', async () => {
      await programmed();
      await undisturbed(async () => void (await cleanNode(place)));
      await expectNothingLeft();
    }, 400_000);

    test('killed before every write and called again: half a node is cleaned as well', async () => {
      await programmed();
      let killed = 0;
      await undisturbed(async () => {
        // Writes of one step go side by side: a call that is killed before its second may not have done its first either.
        // Each call is killed one write later than the one before it.
        while ((await callAndKill(2 + killed)) === 'SIGKILL') killed += 1;
      });
      expect(killed).toBeGreaterThan(3);
      await expectNothingLeft();
    }, 400_000);

    test('what others have destroyed already is no obstacle', async () => {
      await programmed();
      for (const program of [`iptables-${variant}`, `ip6tables-${variant}`]) {
        await inside(place.netns, [program, '-t', 'raw', '-F', 'cali-PREROUTING']);
        await inside(place.netns, [program, '-D', 'INPUT', '1']);
      }
      await inside(place.netns, ['ipset', 'flush', 'cali40programmed']);
      await cleanNode(place);
      await expectNothingLeft();
    }, 400_000);

    async function callAndKill(turn: number): Promise<string | undefined> {
      await points.arm(turn);
      const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
      const argv = [process.execPath, main, 'cleanup', '--services', '--run-dir', place.runDir] as const;
      const inNode = ['nsenter', `--net=/run/netns/${place.netns}`, ...argv] as const;
      const { signal } = await spawnProcess(inNode, { env: points.env('before'), stdout: 'ignore' }).exited;
      await points.disarm();
      return signal;
    }
  });
}
