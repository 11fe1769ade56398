import type { Clock } from '../../src/lib/clock.ts';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** Time passes when the test says so. */
export class ManualClock implements Clock {
  #now = 0;
  #sleepers: readonly Sleeper[] = [];

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const sleeper = { until: this.#now + milliseconds, wake: resolve };
      this.#sleepers = [...this.#sleepers, sleeper];
      signal.addEventListener('abort', () => resolve(), { once: true });
      return undefined;
    });
  }

  /** How long each sleeper still sleeps, shortest first. */
  get pending(): readonly number[] {
    return this.#sleepers.map(({ until }) => until - this.#now).sort((left, right) => left - right);
  }

  /** Lets time pass, and everything that waited for it run. */
  async advance(milliseconds: number): Promise<void> {
    await settle();
    this.#now += milliseconds;
    const due = this.#sleepers.filter(({ until }) => until <= this.#now);
    this.#sleepers = this.#sleepers.filter((sleeper) => !due.includes(sleeper));
    for (const { wake } of due) wake();
    await settle();
  }
}

/** Lets every promise that can go on do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
