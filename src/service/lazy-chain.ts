/** Chains that make their rules when they are read: kept as rules, those of 5,000 Services would be half of the agent's memory. */
import type { ChainName } from '../dataplane/names.ts';
import type { Chain, Rule } from '../dataplane/rule.ts';
import { sameValue } from '../lib/same-value.ts';

/** The same `source` always makes the same rules. */
export class LazyChain<Source> implements Chain {
  readonly name: ChainName;
  readonly style = 'kube';
  readonly source: Source;
  readonly #make: (source: Source, name: ChainName) => readonly Rule[];

  constructor(name: ChainName, source: Source, make: (source: Source, name: ChainName) => readonly Rule[]) {
    this.name = name;
    this.source = source;
    this.#make = make;
  }

  get rules(): readonly Rule[] {
    return this.#make(this.source, this.name);
  }
}

/** Whether two chains do the same; never a comparison of objects, which would see only the sources. */
export function isSameChain(one: Chain, other: Chain): boolean {
  return one === other || (one.name === other.name && one.style === other.style && sameValue(one.rules, other.rules));
}
