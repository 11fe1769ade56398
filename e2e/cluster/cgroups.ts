/** One cgroup for each node: its daemons are in it, and kubelet puts every container below it. So it says what belongs to the node. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const mount = '/sys/fs/cgroup';

/** Puts a process, with what it will start, into `NAME/daemons`. */
export function joinCgroup(name: string, pid: number): void {
  const folder = join(listing(), name, 'daemons');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.procs'), String(pid));
}

/** Ends every process in a cgroup and below, at once, and removes it from every hierarchy. */
export async function clearCgroup(name: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (let pids = processesIn(join(listing(), name)); pids.length > 0; pids = processesIn(join(listing(), name))) {
    if (Date.now() > deadline) throw new Error(`cgroup ${name}: processes ${pids.join(' ')} do not end`);
    for (const pid of pids) killHard(pid);
    await sleep(50);
  }
  const hierarchies = [mount, ...readdirSync(mount).map((entry) => join(mount, entry))];
  for (const folder of hierarchies.map((hierarchy) => join(hierarchy, name))) {
    if (existsSync(folder)) removeCgroup(folder);
  }
}

/** The hierarchy that is asked which processes a cgroup has: cgroup v2 has one, v1 one for each controller. */
function listing(): string {
  return existsSync(join(mount, 'cgroup.controllers')) ? mount : join(mount, 'pids');
}

function processesIn(folder: string): readonly number[] {
  if (!existsSync(folder)) return [];
  const own = readFileSync(join(folder, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
  return [...own, ...childrenOf(folder).flatMap(processesIn)];
}

function removeCgroup(folder: string): void {
  for (const child of childrenOf(folder)) removeCgroup(child);
  rmdirSync(folder);
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
