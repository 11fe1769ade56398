/** What one agent has left, another takes over: of an older commit, of a build with other chains, killed for want of memory, started on a full disk. Packets never stop. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { pause } from '../../src/lab/run-directory.ts';
import { AgentProcess, cleanNode, placeInLab, type AgentPlace } from './agent-process.ts';
import { changingStates, watchedFlows } from './changing-states.ts';
import { addForeignRules } from './foreign-rules.ts';
import { foreignImageOf, imageOf } from './kernel-image.ts';
import { testLab, untilTrue, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { plantOtherLayout } from './other-layout.ts';
import { PacketWatch } from './packet-watch.ts';

const root = join(import.meta.dirname, '..', '..');
/** The one before the faults were worked on. */
const olderCommit = '1686cdc';
const history = await lookForHistory();
const families = ['ipv4', 'ipv6'] as const;

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`one agent after another, iptables-${variant}`, () => {
    let lab: TestLab;
    let temporary: string;
    let place: AgentPlace;
    let foreign: string;
    let image: string;
    let running: AgentProcess | undefined;

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': changingStates[0] }, { cni: 'ptp', ipFamilies: families, agents: false });
      temporary = await mkdtemp(join(tmpdir(), 'sluice-upgrade-'));
      place = await placeInLab(lab, temporary, { variant });
      await addForeignRules(place);
      foreign = await foreignImageOf(place);
      const agent = await AgentProcess.start(place);
      image = await imageOf(place);
      await agent.end('SIGTERM');
    }, 400_000);

    afterAll(async () => {
      await cleanNode(place);
      expect(await foreignImageOf(place)).toBe(foreign);
      await lab?.down();
      await rm(temporary, { recursive: true });
    });

    beforeEach(async () => {
      await cleanNode(place);
    });
    afterEach(async () => {
      await running?.end('SIGKILL');
    });

    /** Under packets: an agent of this build takes over, and ends where it does on a clean node. */
    async function takesOver(before: () => Promise<void> = () => Promise.resolve()): Promise<void> {
      const watch = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
      try {
        await before();
        running = await AgentProcess.start(place);
        // What the kernel is about to let go of is destroyed a moment later (docs/reliability.md).
        await expect.poll(() => imageOf(place), { timeout: 10_000 }).toBe(image);
      } finally {
        const { leaked, lost, least } = await watch.stop();
        expect({ leaked, lost }).toEqual({ leaked: [], lost: [] });
        expect(least).toBeGreaterThan(50);
      }
    }

    // A tree without history has no older agents. History that was not fetched counts as skipped, which fails the run of a root.
    if (history !== 'none') {
      test.skipIf(history === 'cut')(
        'an agent of an older commit',
        async () => {
          const older = await checkOut(olderCommit, join(temporary, 'older'));
          running = await AgentProcess.start({ ...place, main: older });
          await running.end('SIGKILL');
          await takesOver();
        },
        600_000,
      );
    }

    test('a build whose chains and sets had other names', async () => {
      running = await AgentProcess.start(place);
      await running.end('SIGKILL');
      await plantOtherLayout(place);
      expect(await imageOf(place)).not.toBe(image);
      // The other build's rules protect by themselves, or nothing would be shown.
      const alone = await PacketWatch.start({ lab: lab.state, families, ...watchedFlows });
      await pause(1000);
      expect(await alone.stop()).toMatchObject({ leaked: [], lost: [] });
      await takesOver();
    }, 600_000);

    test('an agent that dies for want of memory', async () => {
      running = await AgentProcess.start(place);
      await running.end('SIGTERM');
      await takesOver(async () => {
        const starved = AgentProcess.launch({ ...place, env: { NODE_OPTIONS: '--max-old-space-size=12' } });
        const { exitCode, signal } = await starved.exited;
        expect(exitCode === 0 && signal === undefined).toBe(false);
        expect(await starved.log()).toContain('heap out of memory');
        expect(await imageOf(place)).toBe(image);
      });
    }, 600_000);

    test('a full disk: rules are kept up all the same', async () => {
      running = await AgentProcess.start(place);
      await running.end('SIGKILL');
      const full = join(temporary, 'full');
      await mkdir(full, { recursive: true });
      await run(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', full]);
      try {
        // As large as fits, and then some.
        await expect(writeFile(join(full, 'filling'), Buffer.alloc(100_000))).rejects.toThrow('ENOSPC');
        const agent = AgentProcess.launch({ ...place, runDir: full, logDir: place.runDir });
        running = agent;
        await agent.untilSettled();
        await deleteJump(place);
        await untilTrue('the jump is back', async () => (await jumps(place)).includes('-j cali-FORWARD'), 60_000);
        await agent.end('SIGTERM');
      } finally {
        await run(['umount', full]);
      }
    }, 600_000);
  });
}

/** Ours alone: what others have in the chain has to be there in the end. */
async function deleteJump(place: AgentPlace): Promise<void> {
  const rules = (await jumps(place)).split('\n');
  const number =
    rules.filter((line) => line.startsWith('-A ')).findIndex((line) => line.endsWith('-j cali-FORWARD')) + 1;
  expect(number).toBeGreaterThan(0);
  await run(['ip', 'netns', 'exec', place.netns, `iptables-${place.variant}`, '-D', 'FORWARD', String(number)]);
}

async function jumps({ netns, variant }: AgentPlace): Promise<string> {
  return (await run(['ip', 'netns', 'exec', netns, `iptables-${variant}`, '-S', 'FORWARD'])).stdout;
}

/** `none`: an unpacked archive. `cut`: the older commit was not fetched. */
async function lookForHistory(): Promise<'whole' | 'cut' | 'none'> {
  if (!existsSync(join(root, '.git'))) return 'none';
  return run(['git', '-C', root, 'cat-file', '-e', `${olderCommit}^{commit}`]).then(
    () => 'whole',
    () => 'cut',
  );
}

/** Its entry. */
async function checkOut(commit: string, directory: string): Promise<string> {
  if (!existsSync(directory)) {
    await mkdir(directory);
    await run(['git', '-C', root, 'archive', '--output', join(directory, 'tree.tar'), commit, 'src', 'package.json']);
    await run(['tar', 'xf', join(directory, 'tree.tar'), '-C', directory]);
    await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  }
  return join(directory, 'src', 'main.ts');
}
