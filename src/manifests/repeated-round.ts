/** What the round before came to, where it began with the very same objects. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import { FillReport } from './fill-report.ts';
import { isSameList } from './memory.ts';

interface Round<T> {
  readonly made: T;
  readonly diagnostics: readonly Diagnostic[];
}

/** Most changes are of something else: then a round costs a comparison. */
export class RepeatedRound<T> {
  #parts: readonly (readonly unknown[])[] = [];
  #round: Round<T> | undefined;

  /** `make` may depend on nothing but `parts` and what it remembers of its own rounds. */
  of(parts: readonly (readonly unknown[])[], make: (report: FillReport) => T): Round<T> {
    const isSame = parts.length === this.#parts.length && parts.every((part, at) => isSameList(part, this.#parts[at]));
    if (isSame && this.#round !== undefined) return this.#round;
    const report = new FillReport();
    this.#parts = parts;
    this.#round = { made: make(report), diagnostics: report.diagnostics };
    return this.#round;
  }
}
