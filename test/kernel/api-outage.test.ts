/** The API server goes away, and the agent dies while it is gone: by packets that never stop, nothing opens and nothing that is allowed is lost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { pause } from '../../src/lab/run-directory.ts';
import type { AgentPlace } from './agent-process.ts';
import { AgentProcess, cleanNode, placeInLab } from './agent-process.ts';
import { changingStates, watchedFlows } from './changing-states.ts';
import { addForeignRules } from './foreign-rules.ts';
import { foreignImageOf, imageOf, lastingImageOf } from './kernel-image.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { MirroredCluster } from './mirrored-cluster.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';
import { inside } from './raw-packets.ts';
import { RemoteApi, writeKubeconfig } from './remote-api.ts';

const choices = [
  { cni: 'ptp', variant: 'nft' },
  { cni: 'bridge', variant: 'legacy' },
] as const;
const families = ['ipv4', 'ipv6'] as const;
const [first, second] = changingStates;

for (const { cni, variant } of choices) {
  describeKernel(`an API server that is away: ${cni}, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let foreign: string;
    let api: RemoteApi;
    let cluster: MirroredCluster;
    let agent: AgentProcess;
    const images = new Map<string, string>();

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': first }, { cni, ipFamilies: families, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-outage-'));
      const inLab = await placeInLab(lab, temporary, { variant });
      api = new RemoteApi(inLab.netns);
      place = { ...inLab, kubeconfig: writeKubeconfig(temporary, await api.url()) };
      cluster = new MirroredCluster(lab, api);
      await addForeignRules(place);
      foreign = await foreignImageOf(place);
      for (const state of changingStates) {
        await cluster.become('cluster.yaml', state);
        agent = AgentProcess.launch(place);
        await agent.untilSettled(policiesIn(state));
        images.set(state, await lastingImageOf(place));
        await agent.end('SIGTERM');
        await cleanNode(place);
      }
      expect(images.get(first)).not.toBe(images.get(second));
    }, 400_000);

    afterEach(async () => {
      await agent.end('SIGKILL');
    });
    afterAll(async () => {
      await cleanNode(place);
      expect(await foreignImageOf(place)).toBe(foreign);
      api.kill();
      await lab.down();
      await rm(temporary, { recursive: true });
    });

    test('killed and started again meanwhile: it writes nothing, is not ready and says why; what was changed comes with the API server', async () => {
      await follow(first);
      await underPackets(async () => {
        await duringAnOutage(async () => {
          await agent.end('SIGKILL');
          agent = AgentProcess.launch(place);
          await untilTrue('readiness says why', async () => /ECONNREFUSED/.test(await readyz(place)), 60_000);
          await cluster.become('cluster.yaml', second);
          // Longer than it takes to look for drift.
          await pause(4000);
          expect(await readyz(place)).toMatch(/ECONNREFUSED/);
          expect(await agent.writes()).toEqual({});
          expect(await imageOf(place)).toBe(images.get(first));
        });
        await agent.untilSettled(policiesIn(second));
        await expect.poll(() => imageOf(place), { timeout: 60_000 }).toBe(images.get(second));
      });
    }, 300_000);

    test('an agent that lives through it holds what it knows, and catches up', async () => {
      await follow(second);
      await underPackets(async () => {
        await duringAnOutage(async () => {
          await cluster.become('cluster.yaml', first);
          await pause(2000);
          expect(await readyz(place)).toBe('ok\n');
          expect(await imageOf(place)).toBe(images.get(second));
        });
        await expect.poll(() => imageOf(place), { timeout: 60_000 }).toBe(images.get(first));
      });
    }, 300_000);

    async function follow(state: string): Promise<void> {
      await cluster.become('cluster.yaml', state);
      agent = AgentProcess.launch(place);
      await agent.untilSettled(policiesIn(state));
      await expect.poll(() => imageOf(place), { timeout: 60_000 }).toBe(images.get(state));
    }

    async function duringAnOutage(act: () => Promise<void>): Promise<void> {
      await api.tell({ do: 'stop' });
      try {
        await pause(1000);
        expect(await readyz(place)).toBe('ok\n');
        await act();
      } finally {
        await api.tell({ do: 'listen' });
      }
    }

    async function underPackets(act: () => Promise<void>): Promise<void> {
      const watch = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
      await act().finally(() => watch.stop());
      const { leaked, lost, least } = await watch.stop();
      expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
      expect(least).toBeGreaterThan(300);
    }
  });
}

function policiesIn(state: string): number {
  return state.match(/^kind: NetworkPolicy$/gm)?.length ?? 0;
}

async function readyz({ netns }: AgentPlace): Promise<string> {
  return inside(netns, ['curl', '-sS', 'http://127.0.0.1:9840/readyz']).catch(() => '');
}
