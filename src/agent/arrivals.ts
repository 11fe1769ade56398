/** When changes came in, so that it can be said how long they took to the kernel. */
import type { ObjectKind } from '../cluster/objects.ts';
import type { Clock } from '../lib/clock.ts';

/** The oldest change of one kind that is not in the kernel yet. */
export interface Arrival {
  readonly kind: ObjectKind | 'link';
  /** By the clock's `now`. */
  readonly at: number;
}

export class Arrivals {
  readonly #clock: Clock;
  readonly #oldest = new Map<Arrival['kind'], number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(kind: Arrival['kind']): void {
    if (!this.#oldest.has(kind)) this.#oldest.set(kind, this.#clock.now());
  }

  /** By the clock's `now`. */
  get oldest(): number | undefined {
    return oldestOf([...this.#oldest.values()]);
  }

  /** Takes them out; changes that come from now on are counted anew. */
  take(): readonly Arrival[] {
    const taken = [...this.#oldest].map(([kind, at]) => ({ kind, at }));
    this.#oldest.clear();
    return taken;
  }
}

/** Undefined where there is none. */
export function oldestOf(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
