/** The kernel kills an agent that may have no more memory, at its start and while it writes, under packets that never stop; one that may takes over. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { changingStates, watchedFlows } from './changing-states.ts';
import { imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab, untilTrue } from './lab-fixture.ts';
import { MemoryCgroup } from './memory-cgroup.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';

const families = ['ipv4', 'ipv6'] as const;
const [first, second] = changingStates;
/** MB, of all programs together: from what is not enough to begin to what is just enough. */
const limits = [40, 70, 80, 90, 100];

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`an agent that may have no more memory, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let cgroup: MemoryCgroup;
    let agent: AgentProcess;
    let turn = 0;
    const images = new Map<string, string>();

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': second }, { cni: 'ptp', ipFamilies: families, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-memory-'));
      cgroup = await MemoryCgroup.create(`sltest-${process.pid}-memory`);
      place = await placeInLab(lab, temporary, { variant });
      agent = await AgentProcess.start(place);
      images.set(second, await lastingImageOf(place));
      await lab.write('cluster.yaml', first);
      await agent.untilSettled(policiesIn(first));
      images.set(first, await lastingImageOf(place));
      await agent.end('SIGKILL');
    }, 400_000);

    afterEach(async () => {
      await agent.end('SIGKILL');
    });

    afterAll(async () => {
      await cleanNode(place);
      await cgroup.remove();
      await lab.down();
      await rm(temporary, { recursive: true });
    });

    test('no wrong packet while it dies again and again, and afterwards everything is right', async () => {
      const watch = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
      try {
        for (const megabytes of limits) await startWith(megabytes);
        for (let times = 0; times < 3; times += 1) await dieWriting();
        expect(await cgroup.kills()).toBeGreaterThan(3);
        agent = AgentProcess.launch(place);
        const last = changingStates[turn % 2] ?? '';
        await agent.untilSettled(policiesIn(last));
        await expect.poll(() => imageOf(place), { timeout: 60_000 }).toBe(images.get(last));
      } finally {
        const { leaked, lost, least } = await watch.stop();
        expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
        expect(least).toBeGreaterThan(300);
      }
    }, 400_000);

    async function change(): Promise<void> {
      turn += 1;
      await lab.write('cluster.yaml', changingStates[turn % 2] ?? '');
    }

    /** It has something to write, and comes as far as it comes. */
    async function startWith(megabytes: number): Promise<void> {
      await change();
      await cgroup.limit(megabytes);
      const before = await cgroup.kills();
      const started = Date.now();
      agent = AgentProcess.launch({ ...place, wrapper: cgroup.wrapper });
      const settled = agent.untilSettled().then(
        () => 'settled',
        () => 'ended',
      );
      const how = await Promise.race([settled, pause(10_000).then(() => 'neither')]);
      await agent.end('SIGKILL');
      await settled;
      const kills = (await cgroup.kills()) - before;
      process.stdout.write(`${variant}: ${megabytes} MB: ${how} after ${Date.now() - started} ms, ${kills} killed\n`);
    }

    /** It has been right, and gets nothing more while it follows changes. */
    async function dieWriting(): Promise<void> {
      await cgroup.limit(1024);
      agent = AgentProcess.launch({ ...place, wrapper: cgroup.wrapper });
      await agent.untilSettled();
      let hasEnded = false;
      const ended = agent.exited.finally(() => {
        hasEnded = true;
      });
      await untilTrue(
        'it is killed',
        async () => {
          await change();
          await cgroup.limitToUsage();
          await pause(300);
          return hasEnded;
        },
        60_000,
      );
      expect(await ended).toEqual({ signal: 'SIGKILL' });
      process.stdout.write(`${variant}: killed while it followed change ${turn}\n`);
    }
  });
}

function policiesIn(state: string): number {
  return state.match(/^kind: NetworkPolicy$/gm)?.length ?? 0;
}
