/** What each table was like when there was nothing to do about it: as long as it stays so, nobody else has changed it. */
import { createHash } from 'node:crypto';
import type { TablePlace } from '../table-view.ts';

interface Entry {
  readonly writes: number;
  /** Undefined: not known since the last write. */
  readonly fingerprint?: string;
}

export class SettledTables {
  readonly #entries = new Map<string, Entry>();

  /** How many of ours there were. */
  writesTo(place: TablePlace): number {
    return this.#entries.get(keyOf(place))?.writes ?? 0;
  }

  /** What it was like before is the right state no more: somebody may put just that back. */
  written(place: TablePlace): void {
    this.#entries.set(keyOf(place), { writes: this.writesTo(place) + 1 });
  }

  /** It was read after so many writes; another one since then leaves it open. */
  add(place: TablePlace, fingerprint: string, writes: number): void {
    if (writes === this.writesTo(place)) this.#entries.set(keyOf(place), { writes, fingerprint });
  }

  has(place: TablePlace, fingerprint: string): boolean {
    return this.#entries.get(keyOf(place))?.fingerprint === fingerprint;
  }
}

/** A table of 110,000 rules is kept as 44 characters. */
export function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

function keyOf({ family, table }: TablePlace): string {
  return `${family} ${table}`;
}
