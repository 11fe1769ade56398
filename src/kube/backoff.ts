/** How long to wait after failures in a row. */

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Of 0 to 1. */
  readonly random: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** Failures since the last success. */
  get attempt(): number {
    return this.#attempt;
  }

  succeeded(): void {
    this.#attempt = 0;
  }

  /** Counts one more failure; twice as long each time, spread by half, so that a thousand agents do not come back at once. */
  failed(): number {
    const { firstMs, maxMs, random } = this.#options;
    const full = Math.min(firstMs * 2 ** this.#attempt, maxMs);
    this.#attempt += 1;
    return full * (0.5 + random() / 2);
  }
}
