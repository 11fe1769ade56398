/** What a filler gave and made before, kept for as long as the owners are seen again in every round. */

/** Values by owner. */
export class Memory<T> {
  #before = new Map<string, T>();
  #now = new Map<string, T>();

  /** What the owner had in the round before. */
  recall(owner: string): T | undefined {
    return this.#before.get(owner);
  }

  /** What the owner has in this round so far. */
  kept(owner: string): T | undefined {
    return this.#now.get(owner);
  }

  keep(owner: string, value: T): T {
    this.#now.set(owner, value);
    return value;
  }

  /** Owners that were not seen in this round are forgotten. */
  endRound(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }
}

/** Objects by key: the one of the round before is given again where it would be made from the very same parts. */
export class MadeObjects<T> {
  readonly #memory = new Memory<{ readonly parts: readonly unknown[]; readonly object: T }>();

  of(key: string, parts: readonly unknown[], make: () => T): T {
    const known = this.#memory.recall(key);
    const isSame = known !== undefined && isSameList(known.parts, parts);
    return this.#memory.keep(key, isSame ? known : { parts, object: make() }).object;
  }

  endRound(): void {
    this.#memory.endRound();
  }
}

/** The very same objects in the same order. */
export function isSameList(left: readonly unknown[], right: readonly unknown[] | undefined): boolean {
  if (left === right) return true;
  return left.length === right?.length && left.every((part, at) => part === right[at]);
}
