/** UDP frontends that were served when an agent last ran: what went away while none did is found by the next one. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const memorySchema = z.array(z.string());

export class FrontendMemory {
  readonly #file: string;

  constructor(runDirectory: string) {
    this.#file = join(runDirectory, 'udp-frontends.json');
  }

  /** Empty where nothing is remembered. */
  async read(): Promise<readonly string[]> {
    try {
      return memorySchema.safeParse(JSON.parse(await readFile(this.#file, 'utf8'))).data ?? [];
    } catch {
      return [];
    }
  }

  /** Whole or not at all. */
  async remember(frontends: readonly string[]): Promise<void> {
    await mkdir(dirname(this.#file), { recursive: true });
    await writeFile(`${this.#file}.new`, JSON.stringify(frontends));
    await rename(`${this.#file}.new`, this.#file);
  }
}
