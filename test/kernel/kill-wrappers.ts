/** Puts kill-point.pl on a PATH of its own, in the place of the programs that write. */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `before`, `after` a write, `late`: the write goes on alone, `standing`: at a transaction of a program that stays. */
export type KillWay = 'before' | 'after' | 'late' | 'standing';

export class KillPoints {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(temporary: string, variant: 'nft' | 'legacy'): Promise<KillPoints> {
    const directory = join(temporary, 'kill');
    await mkdir(join(directory, 'bin'), { recursive: true });
    const script = await readFile(join(import.meta.dirname, 'kill-point.pl'), 'utf8');
    for (const name of [`iptables-${variant}-restore`, `ip6tables-${variant}-restore`, 'ipset', 'stdbuf']) {
      const file = join(directory, 'bin', name);
      await writeFile(file, `#!/usr/bin/perl\n${script}`);
      await chmod(file, 0o755);
    }
    return new KillPoints(directory);
  }

  /** For the process that is to die. */
  env(way: KillWay): Readonly<Record<string, string>> {
    const path = process.env['PATH'] ?? '';
    return {
      PATH: `${join(this.#directory, 'bin')}:${path}`,
      KILL_REAL_PATH: path,
      KILL_DIRECTORY: this.#directory,
      KILL_WAY: way,
    };
  }

  async disarm(): Promise<void> {
    for (const name of ['armed', 'count']) await rm(join(this.#directory, name), { force: true });
  }

  /** From now on writes are counted; the process dies at this one, from 1. */
  async arm(turn: number): Promise<void> {
    await this.disarm();
    await writeFile(join(this.#directory, 'armed'), String(turn));
  }

  /** Writes since it was armed. */
  async count(): Promise<number> {
    return Number(await readFile(join(this.#directory, 'count'), 'utf8').catch(() => '0'));
  }
}
