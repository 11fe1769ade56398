/** The agent is killed at every single write, on a real kernel and under packets that never stop: before it, after it, and while it goes on alone. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentPlace } from './agent-process.ts';
import { AgentProcess, cleanNode, placeInLab } from './agent-process.ts';
import { addForeignRules } from './foreign-rules.ts';
import { foreignImageOf, imageOf, lastingImageOf } from './kernel-image.ts';
import type { KillWay } from './kill-wrappers.ts';
import { KillPoints } from './kill-wrappers.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';
import { changingStates, watchedFlows } from './changing-states.ts';

const choices = [
  { cni: 'ptp', variant: 'nft', ways: ['before', 'after', 'late', 'standing'] },
  { cni: 'bridge', variant: 'legacy', ways: ['before', 'after'] },
] as const;

for (const { cni, variant, ways } of choices) {
  describeKernel(`killed at every write: ${cni}, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let foreign: string;
    let points: KillPoints;
    let running: AgentProcess | undefined;
    const images: string[] = [];

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': changingStates[0] }, { cni, ipFamilies: ['ipv4', 'ipv6'], agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-kill-'));
      place = await placeInLab(lab, temporary, { variant });
      await addForeignRules(place);
      foreign = await foreignImageOf(place);
      points = await KillPoints.create(temporary, variant);
      for (const [index, state] of changingStates.entries()) {
        await lab.write('cluster.yaml', state);
        const agent = AgentProcess.launch(place);
        await agent.untilSettled(policiesOf(index));
        images.push(await lastingImageOf(place));
        await agent.end('SIGTERM');
      }
      expect(images[0]).not.toBe(images[1]);
    });

    afterAll(async () => {
      await cleanNode(place);
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    test.each(ways)(
      '%s: no wrong packet, and the next agent ends where every agent does',
      async (way) => {
        const watch = await PacketWatch.start({ lab: lab.state, families: ['ipv4', 'ipv6'], ...watchedFlows });
        const killed = await killAtEveryWrite(way)
          .finally(() => running?.end('SIGKILL'))
          .finally(() => watch.stop());
        const { leaked, lost, least } = await watch.stop();
        expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
        expect(killed).toBeGreaterThanOrEqual(way === 'standing' ? 4 : 6);
        expect(least).toBeGreaterThan(100);
        expect(await foreignImageOf(place)).toBe(foreign);
      },
      600_000,
    );

    /** Answers how many writes there were. */
    async function killAtEveryWrite(way: KillWay): Promise<number> {
      let state = 1;
      for (let turn = 1; ; turn += 1) {
        const from = state;
        state = 1 - state;
        if (!(await killAt(turn, way, [from, state]))) return turn - 1;
        // Half of the next agents find what the last one was killed for, the others something else.
        if (turn % 2 === 0) state = from;
      }
    }

    /** False: the change needed fewer writes, and the agent has made it. */
    async function killAt(turn: number, way: KillWay, [from, to]: readonly [number, number]): Promise<boolean> {
      await lab.write('cluster.yaml', changingStates[from] ?? '');
      await points.disarm();
      const agent = AgentProcess.launch({ ...place, env: points.env(way) });
      running = agent;
      await agent.untilSettled(policiesOf(from));
      await expect.poll(() => imageOf(place), { timeout: 20_000 }).toBe(images[from]);
      await points.arm(turn);
      await lab.write('cluster.yaml', changingStates[to] ?? '');
      let isEnded = false;
      void agent.exited.then(() => {
        isEnded = true;
      });
      const isThere = async (): Promise<boolean> => isEnded || (await imageOf(place)) === images[to];
      await untilTrue('the agent dies, or is there', isThere, 60_000);
      // The last write may be the one that makes the image whole.
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (isEnded) return true;
      await agent.end('SIGTERM');
      expect(await points.count()).toBeLessThan(turn);
      return false;
    }
  });
}

function policiesOf(index: number): number {
  return (changingStates[index] ?? '').match(/kind: NetworkPolicy/g)?.length ?? 0;
}
