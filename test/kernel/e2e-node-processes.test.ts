/** What a node of the e2e cluster leaves running is found, and ended, wherever it is. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { clearCgroup, joinCgroup, processesOf } from '../../e2e/cluster/cgroups.ts';
import type { Argv } from '../../src/backends/exec.ts';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { describeKernel } from './netns.ts';

const name = `slc-test-${process.pid}`;
const sleep: Argv = ['sleep', '300'];

describeKernel('processes of a node', () => {
  const started: number[] = [];
  afterEach(async () => {
    for (const pid of started) if (processesOf(name).includes(pid)) process.kill(pid, 'SIGKILL');
    await run(['ip', 'netns', 'del', name]).catch(() => undefined);
  });

  test('of its cgroup, of a cgroup below it in one hierarchy alone, and of its network namespace; no others', async () => {
    await run(['ip', 'netns', 'add', name]);
    const start = (argv: Argv): number => {
      const { pid } = spawnProcess(argv);
      started.push(pid);
      return pid;
    };
    const [inCgroup, elsewhere, stranger] = [start(sleep), start(sleep), start(sleep)];
    const inNetns = start(['nsenter', `--net=/run/netns/${name}`, ...sleep]);
    joinCgroup(name, inCgroup);
    const hierarchies = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];
    const hierarchy = hierarchies.find((mount) => existsSync(join(mount, 'cgroup.procs'))) ?? '';
    const folder = join(hierarchy, name, 'kubepods');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'cgroup.procs'), String(elsewhere));
    await expect
      .poll(() => processesOf(name).toSorted(byNumber))
      .toEqual([inCgroup, elsewhere, inNetns].toSorted(byNumber));
    await clearCgroup(name);
    expect(processesOf(name)).toEqual([]);
    expect(() => rmdirSync(folder)).toThrow('ENOENT');
    process.kill(stranger, 'SIGKILL');
  });
});

function byNumber(left: number, right: number): number {
  return left - right;
}
