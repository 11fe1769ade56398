/**
 * Somebody keeps the kernel's rules to himself for half a minute while a change waits, under packets that never stop: legacy iptables has a
 * lock for that; nf_tables has none, but who commits without a pause is in everybody's way.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type RunningProcess, spawnProcess } from '../../src/backends/exec.ts';
import { AgentProcess, type AgentPlace, cleanNode, placeInLab } from './agent-process.ts';
import { changingStates, watchedFlows } from './changing-states.ts';
import { imageOf, lastingImageOf } from './kernel-image.ts';
import { testLab, type TestLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { PacketWatch } from './packet-watch.ts';
import { inside } from './raw-packets.ts';

const families = ['ipv4', 'ipv6'] as const;
const [first, second] = changingStates;
const heldSeconds = 30;

for (const variant of ['legacy', 'nft'] as const) {
  describeKernel(`somebody else is at the rules for half a minute, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let lock: string;
    let agent: AgentProcess;
    let holder: RunningProcess | undefined;
    const images = new Map<string, string>();

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': second }, { cni: 'ptp', ipFamilies: families, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-lock-'));
      lock = join(temporary, 'xtables.lock');
      place = { ...(await placeInLab(lab, temporary, { variant })), env: { XTABLES_LOCKFILE: lock } };
      agent = await AgentProcess.start(place);
      images.set(second, await lastingImageOf(place));
      await lab.write('cluster.yaml', first);
      await agent.untilSettled(policiesIn(first));
      images.set(first, await lastingImageOf(place));
      expect(images.get(first)).not.toBe(images.get(second));
    }, 400_000);

    afterEach(async () => {
      holder?.kill('SIGKILL');
      await agent.end('SIGKILL');
    });

    afterAll(async () => {
      await cleanNode(place);
      await lab.down();
      await rm(temporary, { recursive: true });
    });

    test('no wrong packet, it is said what is waited for, and everything is there afterwards', async () => {
      const watch = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
      try {
        holder = await hold();
        await lab.write('cluster.yaml', second);
        if (variant === 'legacy') {
          await untilTrue('readiness says what it waits for', async () => /xtables lock/.test(await readyz()), 25_000);
          expect(await agent.log()).toMatch(/"level":"?(warn|40)"?.*xtables lock/);
        }
        expect((await holder.exited).exitCode).toBe(0);
        await agent.untilSettled(policiesIn(second));
        await expect.poll(() => imageOf(place), { timeout: 60_000 }).toBe(images.get(second));
        expect(await readyz()).toBe('ok\n');
      } finally {
        const { leaked, lost, least } = await watch.stop();
        expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
        expect(least).toBeGreaterThan(300);
      }
    }, 300_000);

    /** Ends by itself with 0. */
    async function hold(): Promise<RunningProcess> {
      if (variant === 'legacy') {
        const process = spawnProcess(['flock', lock, 'sleep', String(heldSeconds)]);
        await untilTrue('the lock is held', () => isLocked());
        return process;
      }
      const rules = Array.from({ length: 200 }, (_, index) => `add rule ip other many tcp dport ${index + 1} accept`);
      const script = ['add table ip other', 'add chain ip other many', 'flush chain ip other many', ...rules];
      await writeFile(join(temporary, 'others.nft'), `${script.join('\n')}\n`);
      const loop = `end=$(($(date +%s) + ${heldSeconds})); while [ $(date +%s) -lt $end ]; do nft -f "$1" || exit 1; done`;
      const argv = ['ip', 'netns', 'exec', place.netns, 'sh', '-c', loop, 'sh', join(temporary, 'others.nft')] as const;
      return spawnProcess(argv);
    }

    async function isLocked(): Promise<boolean> {
      return inside(place.netns, ['flock', '--nonblock', lock, 'true']).then(
        () => false,
        () => true,
      );
    }

    async function readyz(): Promise<string> {
      return inside(place.netns, ['curl', '-sS', 'http://127.0.0.1:9840/readyz']).catch(() => '');
    }
  });
}

function policiesIn(state: string): number {
  return state.match(/^kind: NetworkPolicy$/gm)?.length ?? 0;
}
