/** The preflight, beside the reading of cluster and node: only the first write waits for it. */
import type { PreflightOptions } from '../backends/preflight.ts';
import { readMachineVersions } from '../backends/machine-versions.ts';
import { preflight } from '../backends/preflight.ts';
import type { MachineVersions } from '../telemetry/status.ts';
import { MachineError } from './failure.ts';

export class MachineCheck {
  readonly #options: PreflightOptions;
  #versions: MachineVersions | undefined;
  #isAskedForVersions = false;
  #result: Promise<void> = Promise.reject(new Error('the check was not started'));

  constructor(options: PreflightOptions) {
    this.#options = options;
    this.#result.catch(() => undefined);
  }

  start(): void {
    this.#result = this.#check();
    // Whoever waits for it is told; until somebody does, a failure is not yet unhandled.
    this.#result.catch(() => undefined);
  }

  /** Rejects with a MachineError that names what is missing. */
  get result(): Promise<void> {
    return this.#result;
  }

  /** Once. Only people ask for them, so the first write should not wait for the programs that tell. */
  readVersions(): void {
    if (this.#isAskedForVersions) return;
    this.#isAskedForVersions = true;
    const { run, variant } = this.#options;
    void readMachineVersions(run, variant).then((versions) => {
      this.#versions = versions;
    });
  }

  /** Absent until they were read. */
  get versions(): MachineVersions | undefined {
    return this.#versions;
  }

  async #check(): Promise<void> {
    // What fails once may have been killed, or tried by a machine short of memory: no reason to give up.
    const missing = (await preflight(this.#options)).length === 0 ? [] : await preflight(this.#options);
    if (missing.length === 0) return;
    const what = missing.map(({ message }) => message).join('; ');
    throw new MachineError(`this machine lacks what Sluice needs: ${what}`);
  }
}
