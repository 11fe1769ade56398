/** The latest latencies, for people: a histogram of all time says nothing about now. */

/** Enough for a p99. */
const kept = 1000;

export interface LatencySummary {
  /** How many of the latest it is about. */
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export class RecentLatencies {
  readonly #milliseconds: number[] = [];
  #next = 0;

  add(milliseconds: number): void {
    this.#milliseconds[this.#next] = milliseconds;
    this.#next = (this.#next + 1) % kept;
  }

  /** Undefined before the first. Milliseconds with one decimal. */
  get summary(): LatencySummary | undefined {
    const sorted = this.#milliseconds.toSorted((left, right) => left - right);
    const count = sorted.length;
    if (count === 0) return undefined;
    const at = (share: number): number => Math.round((sorted[Math.ceil(count * share) - 1] ?? 0) * 10) / 10;
    return { count, p50Ms: at(0.5), p99Ms: at(0.99) };
  }
}
