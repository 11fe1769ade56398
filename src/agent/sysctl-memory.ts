/** What kernel settings were before Sluice set them: cleanup prints it, nobody restores it behind an administrator's back. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { SysctlChange } from '../backends/links/sysctls.ts';

const memorySchema = z.record(z.string(), z.string());

export class SysctlMemory {
  readonly #file: string;
  /** What could not be written yet: it goes with the next change. */
  #waiting: readonly SysctlChange[] = [];
  /** One at a time: settings are looked at every few seconds, and while the node is read. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(runDirectory: string) {
    this.#file = join(runDirectory, 'sysctls.json');
  }

  /** Name to the value before the first change. Empty where nothing is remembered. */
  async read(): Promise<Readonly<Record<string, string>>> {
    try {
      const parsed: unknown = JSON.parse(await readFile(this.#file, 'utf8'));
      return memorySchema.safeParse(parsed).data ?? {};
    } catch {
      return {};
    }
  }

  /** Whole or not at all. Answers why it could not be written (a disk may be full), which is no reason to stop: it is kept for the next time. */
  async remember(changes: readonly SysctlChange[]): Promise<unknown> {
    this.#waiting = [...this.#waiting, ...changes];
    this.#last = this.#last.then(() => this.#write());
    return this.#last;
  }

  async #write(): Promise<unknown> {
    const written = this.#waiting;
    const added = Object.fromEntries(written.toReversed().map(({ name, before }) => [name, before]));
    try {
      const known = await this.read();
      await mkdir(dirname(this.#file), { recursive: true });
      await writeFile(`${this.#file}.new`, `${JSON.stringify({ ...added, ...known }, null, 2)}\n`);
      await rename(`${this.#file}.new`, this.#file);
      this.#waiting = this.#waiting.slice(written.length);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}
