/** What kernel settings were before Sluice set them: cleanup prints it, nobody restores it behind an administrator's back. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { SysctlChange } from '../backends/links/sysctls.ts';

const memorySchema = z.record(z.string(), z.string());

export class SysctlMemory {
  readonly #file: string;

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

  async remember(changes: readonly SysctlChange[]): Promise<void> {
    const known = await this.read();
    const added = Object.fromEntries(changes.map(({ name, before }) => [name, before]));
    await mkdir(dirname(this.#file), { recursive: true });
    await writeFile(this.#file, `${JSON.stringify({ ...added, ...known }, null, 2)}\n`);
  }
}
