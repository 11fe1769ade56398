/** A cgroup of a test's own that bounds memory, by whichever hierarchy the machine has. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { untilTrue } from './lab-fixture.ts';

const mount = '/sys/fs/cgroup';
const isUnified = existsSync(join(mount, 'cgroup.controllers'));
const files = isUnified
  ? { limit: 'memory.max', swap: 'memory.swap.max', usage: 'memory.current', events: 'memory.events' }
  : {
      limit: 'memory.limit_in_bytes',
      swap: 'memory.memsw.limit_in_bytes',
      usage: 'memory.usage_in_bytes',
      events: 'memory.oom_control',
    };
const megabyte = 1_048_576;

export class MemoryCgroup {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async create(name: string): Promise<MemoryCgroup> {
    const folder = join(await parent(), name);
    await mkdir(folder);
    return new MemoryCgroup(folder);
  }

  /** What a program is started by, so that all of it, and what it starts, is inside. */
  get wrapper(): readonly [string, ...string[]] {
    return ['sh', '-c', 'echo $$ >"$0" && exec "$@"', join(this.#folder, 'cgroup.procs')];
  }

  async limit(megabytes: number): Promise<void> {
    await this.#limitBytes(megabytes * megabyte);
  }

  /** The next page that is asked for and cannot be had by giving up another one is one too many. */
  async limitToUsage(): Promise<void> {
    await this.#limitBytes(Number(await this.#read(files.usage)));
  }

  /** How often the kernel has killed for it. */
  async kills(): Promise<number> {
    return Number(/^oom_kill (\d+)$/m.exec(await this.#read(files.events))?.[1]);
  }

  /** Processes that have ended are in it until the kernel has taken them apart. */
  async remove(): Promise<void> {
    await untilTrue('the cgroup is empty', () =>
      rmdir(this.#folder).then(
        () => true,
        () => false,
      ),
    );
  }

  /** Refused where more is in use already and cannot be given up. */
  async #limitBytes(bytes: number): Promise<void> {
    const write = (file: string, value: number): Promise<void> =>
      writeFile(join(this.#folder, file), String(value)).catch(() => undefined);
    const swap = isUnified ? 0 : bytes;
    // Of version 1, the bound of both together is never below the one of memory: whichever way it goes, one order is right.
    await write(files.limit, bytes);
    await write(files.swap, swap);
    await write(files.limit, bytes);
  }

  #read(file: string): Promise<string> {
    return readFile(join(this.#folder, file), 'utf8');
  }
}

/** Of version 2, only the root may have processes and bounded children. */
async function parent(): Promise<string> {
  if (isUnified) return mount;
  const [, own = '/'] = /^\d+:memory:(.*)$/m.exec(await readFile('/proc/self/cgroup', 'utf8')) ?? [];
  return join(mount, 'memory', own);
}
