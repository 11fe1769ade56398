/**
 * What a run leaves on the machine: processes, network namespaces, cgroups, folders. Each is written down before it is made,
 * so that it can be taken away by this process or, when this process was killed, by the next one.
 */
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { undo, type Belonging } from './undo.ts';
import { isRunning, markOf, signal } from './running.ts';

const root = '/run/sluice-e2e';
const open = new Set<Estate>();

export class Estate {
  readonly name: string;
  readonly folder: string;

  constructor(name: string) {
    this.name = name;
    this.folder = join(root, name);
    mkdirSync(this.folder, { recursive: true });
  }

  /** To be called before the thing is made (a process: right after it was started). */
  record(belonging: Belonging): void {
    appendFileSync(join(this.folder, 'journal'), `${JSON.stringify(belonging)}\n`);
  }

  /** To be called before a value of the machine's /proc/sys is changed; `name` with slashes. Nothing happens where it does not exist. */
  recordSysctl(name: string): void {
    const file = join('/proc/sys', name);
    if (existsSync(file)) this.record({ kind: 'sysctl', file, value: readFileSync(file, 'utf8') });
  }

  belongings(): readonly Belonging[] {
    const file = join(this.folder, 'journal');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `record` alone
    return lines.map((line) => JSON.parse(line) as Belonging);
  }

  /** Leaves everything where it is, for people to look at; `clear` of the same name takes it away later. */
  keep(): void {
    rmSync(join(this.folder, 'owner'), { force: true });
    open.delete(this);
  }

  /** Takes everything away, the last made first; errors are collected, and thrown as one when everything was tried. */
  async clear(): Promise<void> {
    open.delete(this);
    const errors = await undo(this.belongings().toReversed());
    if (errors.length > 0) throw new AggregateError(errors, `${this.folder}: ${errors.map(String).join('; ')}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A new estate of this process. Takes away first what an earlier one of the same name, and killed runs, left behind. */
export async function openEstate(name: string): Promise<Estate> {
  await clearLeftovers();
  if (existsSync(join(root, name))) await new Estate(name).clear();
  const estate = new Estate(name);
  writeFileSync(join(estate.folder, 'owner'), markOf(process.pid) ?? '');
  if (open.size === 0) watchForTheEnd();
  open.add(estate);
  return estate;
}

/** The estate that an earlier process kept; undefined when there is none. */
export function keptEstate(name: string): Estate | undefined {
  return existsSync(join(root, name, 'journal')) ? new Estate(name) : undefined;
}

/** Estates whose process was killed are cleared; those that were kept on purpose have no owner, and stay. */
export async function clearLeftovers(): Promise<void> {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const owner = join(root, name, 'owner');
    if (existsSync(owner) && !isRunning(readFileSync(owner, 'utf8'))) await new Estate(name).clear();
  }
}

let isWatching = false;

function watchForTheEnd(): void {
  if (isWatching) return;
  isWatching = true;
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(name, () => {
      void Promise.allSettled([...open].map(async (estate) => estate.clear())).then(() => process.exit(code));
    });
  }
  // Reached with something still open only by an error: processes at least do not stay; the rest is cleared by the next run.
  process.on('exit', () => {
    for (const estate of open) {
      for (const belonging of estate.belongings()) {
        if (belonging.kind === 'process') signal(belonging.mark, 'SIGKILL');
      }
    }
  });
}
