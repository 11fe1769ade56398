/** A kernel that gets one case after the other, as an agent's does. Throws where it refuses something, or says back something else. */
import type { Run } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { describeRefusal } from '../../src/backends/refusals.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';

export class KernelLoad {
  readonly #backend: KernelBackend;
  readonly #writer: KernelWriter;

  constructor(run: Run, variant: 'nft' | 'legacy') {
    this.#backend = new KernelBackend({ run, variant, ownership: { services: true } });
    this.#writer = new KernelWriter({ backend: this.#backend });
  }

  /** `again`: an agent without memory reads all of it back and must find nothing to write. */
  async load(dataplane: Dataplane, again: boolean): Promise<void> {
    const { refused } = await this.#writer.resync(dataplane, { retryRefused: true });
    const [first] = refused;
    if (first !== undefined) throw new Error(`the kernel refused ${describeRefusal(first)}`);
    if (!again) return;
    const { writes, differences } = await new KernelWriter({ backend: this.#backend }).resync(dataplane);
    if (writes > 0) throw new Error(`said back otherwise: ${JSON.stringify(differences.slice(0, 3))}`);
  }
}
