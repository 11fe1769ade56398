/** Where a lab keeps its state, and who is alive of what is written there. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { IpAddress, IpFamily } from '../lib/ip.ts';

/** A process and when it started: a number that is used again belongs to somebody else. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, from /proc/PID/stat. */
  readonly startTime: string;
}

export interface RecordedProcess extends ProcessIdentity {
  /** `agent NODE` */
  readonly what: string;
}

export interface LabState {
  readonly name: string;
  readonly directory: string;
  readonly cni: 'ptp' | 'bridge';
  readonly ipFamilies: readonly IpFamily[];
  /** The process that follows the manifests and answers for the pods. */
  readonly lab: ProcessIdentity;
  readonly phase: 'starting' | 'ready';
  readonly processes: readonly RecordedProcess[];
  readonly nodes: readonly {
    readonly name: string;
    readonly netns: string;
    readonly addresses: readonly IpAddress[];
  }[];
  readonly outside?: { readonly netns: string; readonly addresses: readonly IpAddress[] };
  readonly pods: readonly RecordedPod[];
  /** What is wrong with the manifests or could not be wired, as lines. */
  readonly messages: readonly string[];
}

export interface RecordedPod {
  /** `namespace/name` */
  readonly key: string;
  readonly node: string;
  readonly netns: string;
  readonly addresses: readonly IpAddress[];
  readonly deployment?: string;
}

/** Files of one lab. */
export interface RunDirectory {
  readonly path: string;
  /** The complete objects, which the agents follow. */
  readonly cluster: string;
  /** Where a file is written before it gets its name. */
  readonly temporary: string;
  /** `hosts` and `resolv.conf` of each Kubernetes namespace. */
  readonly etc: string;
  /** Run directory of a node's agent. */
  agent(node: string): string;
  log(what: string): string;
}

/** The directory under which every lab of the machine has its own; `SLUICE_LAB_RUN_DIR` moves it. */
export function runRoot(): string {
  return process.env.SLUICE_LAB_RUN_DIR ?? '/run/sluice-lab';
}

export function runDirectory(name: string): RunDirectory {
  const path = join(runRoot(), name);
  return {
    path,
    cluster: join(path, 'cluster'),
    temporary: join(path, 'temporary'),
    etc: join(path, 'etc'),
    agent: (node) => join(path, 'agents', node),
    log: (what) => join(path, 'log', `${what}.log`),
  };
}

/** Makes the directory ours; false where a lock lies in it already, of a live process or a dead one. */
export async function claimRunDirectory(name: string): Promise<boolean> {
  const { path } = runDirectory(name);
  await mkdir(path, { recursive: true, mode: 0o700 });
  const mine = await identityOf(process.pid);
  if (mine === undefined) throw new Error('/proc is not mounted');
  try {
    await writeFile(join(path, 'lock'), JSON.stringify(mine), { flag: 'wx' });
    await writePidFile(join(path, 'lab.pid'), mine);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** For people and their scripts; what is ended is decided by the state file, which knows the start time too. */
export async function writePidFile(file: string, { pid }: ProcessIdentity): Promise<void> {
  await writeFile(file, `${pid}\n`);
}

/** The live process that holds the lab; undefined where there is none, or a dead one. */
export async function lockHolder(name: string): Promise<ProcessIdentity | undefined> {
  const holder = await readJson<ProcessIdentity>(join(runDirectory(name).path, 'lock'));
  return holder !== undefined && (await isAlive(holder)) ? holder : undefined;
}

export async function readState(name: string): Promise<LabState | undefined> {
  return readJson<LabState>(join(runDirectory(name).path, 'state.json'));
}

export async function writeState(state: LabState): Promise<void> {
  const { path } = runDirectory(state.name);
  await writeAtomically(join(path, 'state.json'), `${JSON.stringify(state, undefined, 2)}\n`, path);
}

/** A reader sees the old text or the new one. `temporary` is a directory on the same file system. */
export async function writeAtomically(file: string, text: string, temporary: string): Promise<void> {
  temporaryCount += 1;
  const draft = join(temporary, `.draft-${process.pid}-${temporaryCount}`);
  await writeFile(draft, text);
  await rename(draft, file);
}
let temporaryCount = 0;

/** Names of all labs that left a directory. */
export async function labsWithDirectory(): Promise<readonly string[]> {
  try {
    return await readdir(runRoot());
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Undefined where no such process is. */
export async function identityOf(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; field 3 follows its last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTime = fields[19];
    return fields[0] === 'Z' || startTime === undefined ? undefined : { pid, startTime };
  } catch {
    return undefined;
  }
}

export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  return (await identityOf(process.pid))?.startTime === process.startTime;
}

/** Ends processes that are still the ones that were recorded: politely, then by force. */
export async function endProcesses(processes: readonly ProcessIdentity[], graceMs: number): Promise<void> {
  await signalAlive(processes, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  while ((await countAlive(processes)) > 0 && Date.now() < deadline) await pause(30);
  await signalAlive(processes, 'SIGKILL');
  while ((await countAlive(processes)) > 0 && Date.now() < deadline + 5000) await pause(30);
}

export async function removeRunDirectory(name: string): Promise<void> {
  await rm(runDirectory(name).path, { recursive: true, force: true });
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

async function signalAlive(processes: readonly ProcessIdentity[], signal: NodeJS.Signals): Promise<void> {
  for (const identity of processes) {
    if (!(await isAlive(identity))) continue;
    try {
      process.kill(identity.pid, signal);
    } catch (error) {
      if (!hasCode(error, 'ESRCH')) throw error;
    }
  }
}

async function countAlive(processes: readonly ProcessIdentity[]): Promise<number> {
  const alive = await Promise.all(processes.map(isAlive));
  return alive.filter(Boolean).length;
}

/** A half-written or foreign file counts as none: what it would tell is found by the names of the namespaces. */
async function readJson<T>(file: string): Promise<T | undefined> {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a file that this module alone writes
    return JSON.parse(await readFile(file, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
