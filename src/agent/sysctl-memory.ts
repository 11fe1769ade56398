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
    const added = Object.fromEntries(this.#waiting.toReversed().map(({ name, before }) => [name, before]));
    try {
      const known = await this.read();
      await mkdir(dirname(this.#file), { recursive: true });
      await writeFile(`${this.#file}.new`, `${JSON.stringify({ ...added, ...known }, null, 2)}\n`);
      await rename(`${this.#file}.new`, this.#file);
      this.#waiting = [];
      return undefined;
    } catch (error) {
      return error;
    }
  }
}
