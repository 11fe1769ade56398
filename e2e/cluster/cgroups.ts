/** One cgroup for each node: its daemons are in it, and kubelet puts every container below it. So it says what belongs to the node. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { markOf } from './running.ts';

const mount = '/sys/fs/cgroup';

/** Puts a process, with what it will start, into `NAME/daemons`. */
export function joinCgroup(name: string, pid: number): void {
  const folder = join(listing(), name, 'daemons');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

/**
 * Ends every process of a node, at once, and removes its cgroup from every hierarchy. A process that left the cgroup in one hierarchy
 * is still in it in another, or in the node's network namespace, which has the same name; all are asked.
 */
export async function clearCgroup(name: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  // What moves from one place to another while they are listed may be in neither, and runc takes its time on a busy machine: once an agent's
  // container came up a moment after nothing had been found twice.
  for (let quiet = 0; quiet < 8; await sleep(50)) {
    const pids = processesOf(name);
    quiet = pids.length === 0 ? quiet + 1 : 0;
    if (Date.now() > deadline) throw new Error(`cgroup ${name}: processes ${pids.join(' ')} do not end`);
    for (const pid of pids) killHard(pid);
  }
  const hierarchies = [mount, ...readdirSync(mount).map((entry) => join(mount, entry))];
  for (const folder of hierarchies.map((hierarchy) => join(hierarchy, name))) {
    await removeCgroup(folder, deadline);
  }
}

/** Processes, zombies left out, that are in a cgroup or below it in any hierarchy, or in the network namespace of that name. */
export function processesOf(name: string): readonly number[] {
  const netns = inodeOf(`/run/netns/${name}`);
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.filter((pid) => markOf(Number(pid)) !== undefined && isOf(pid, name, netns)).map(Number);
}

function isOf(pid: string, name: string, netns: number | undefined): boolean {
  if (netns !== undefined && inodeOf(`/proc/${pid}/ns/net`) === netns) return true;
  try {
    // HIERARCHY:CONTROLLERS:PATH, and " (deleted)" behind the path of one that was removed (cgroups(7)).
    const paths = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n');
    return paths.some((line) => `${line.replace(/^\d+:[^:]*:/, '')}/`.startsWith(`/${name}/`));
  } catch {
    return false; // It has ended.
  }
}

/** Tells namespaces apart, by the files that stand for them; undefined where there is none. */
export function inodeOf(file: string): number | undefined {
  try {
    return statSync(file).ino;
  } catch {
    return undefined;
  }
}

/** The hierarchy that a process is put into: cgroup v2 has one, v1 one for each controller. */
function listing(): string {
  return existsSync(join(mount, 'cgroup.controllers')) ? mount : join(mount, 'pids');
}

/** A process that has ended is in its cgroup until the kernel has taken it apart. */
async function removeCgroup(folder: string, deadline: number): Promise<void> {
  if (!existsSync(folder)) return;
  for (const child of childrenOf(folder)) await removeCgroup(child, deadline);
  for (;;) {
    try {
      return rmdirSync(folder);
    } catch (error) {
      const isBusy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
      if (!isBusy || Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

function childrenOf(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}

function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
