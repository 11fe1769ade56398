/** Values of which an object has at most one of each IP family: what the file does not state is given, and stays. */
import type { IpFamily } from '../lib/ip.ts';
import { Memory } from './memory.ts';
import type { Stated } from './parsed.ts';

export class FamilyValues<T> {
  readonly #familyOf: (value: T) => IpFamily;
  readonly #memory = new Memory<T>();

  constructor(familyOf: (value: T) => IpFamily) {
    this.#familyOf = familyOf;
  }

  /** Keeps what the owner has from the round before, where it is still good; yields it, since it is taken. */
  remember(
    owner: string,
    stated: Stated<T>,
    families: readonly IpFamily[],
    isGood: (value: T) => boolean = () => true,
  ): readonly T[] {
    return this.#missing(stated, families).flatMap((family) => {
      const value = this.#memory.recall(`${owner} ${family}`);
      return value === undefined || !isGood(value) ? [] : [this.#memory.keep(`${owner} ${family}`, value)];
    });
  }

  /** One value of each family: stated, remembered, or given now; in the order of `families` unless all are stated. */
  fill(
    owner: string,
    stated: Stated<T>,
    families: readonly IpFamily[],
    give: (family: IpFamily) => T | undefined,
  ): readonly T[] {
    const missing = this.#missing(stated, families);
    if (missing.length === 0) return stated.values;
    const values = [...stated.values];
    for (const family of missing) {
      const value = this.#memory.kept(`${owner} ${family}`) ?? give(family);
      if (value !== undefined) values.push(this.#memory.keep(`${owner} ${family}`, value));
    }
    const rank = (value: T) => families.indexOf(this.#familyOf(value));
    return values.toSorted((left, right) => rank(left) - rank(right));
  }

  endRound(): void {
    this.#memory.endRound();
  }

  #missing(stated: Stated<T>, families: readonly IpFamily[]): readonly IpFamily[] {
    if (stated.whole) return [];
    return families.filter((family) => !stated.values.some((value) => this.#familyOf(value) === family));
  }
}
