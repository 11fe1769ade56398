/** The one loop that writes: runs soon after it was asked to, one run at a time. */
import type { Clock } from '../lib/clock.ts';
import { EventFlag } from '../lib/event-flag.ts';

export interface ReconcilerOptions {
  /** One run: brings the kernel to what is wanted now. */
  readonly reconcile: () => Promise<void>;
  /** A run failed; `attempt` counts failures in a row, the next run comes after `pauseMs`. Throws to give up. */
  readonly onFailure: (error: unknown, attempt: number, pauseMs: number) => void;
  readonly clock: Clock;
  /** Collecting changes before a run, when idle. */
  readonly collectMs: number;
  /** The first pause after a failure; it doubles from failure to failure. */
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #dirty = new EventFlag();

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  /** Asks for a run; many marks while one runs cost one more. */
  markDirty(): void {
    this.#dirty.raise();
  }

  /** Until `signal` aborts; a run that has begun is finished. Rejects when `onFailure` gives up. */
  async run(signal: AbortSignal): Promise<void> {
    const { reconcile, onFailure, clock, collectMs } = this.#options;
    let attempt = 0;
    while (await this.#dirty.next(signal)) {
      if (attempt === 0) await clock.sleep(collectMs, signal);
      this.#dirty.lower();
      try {
        await reconcile();
        attempt = 0;
      } catch (error) {
        attempt += 1;
        this.#dirty.raise();
        const pauseMs = this.#pauseAfter(attempt);
        onFailure(error, attempt, pauseMs);
        await clock.sleep(pauseMs, signal);
      }
    }
  }

  #pauseAfter(attempt: number): number {
    const { minBackoffMs, maxBackoffMs } = this.#options;
    return Math.min(minBackoffMs * 2 ** (attempt - 1), maxBackoffMs);
  }
}
