/** Many selectors, one object: which of them match? Only selectors that one of the object's labels leads to are evaluated. */
import type { LabelSelector, Labels } from './objects.ts';
import type { Restriction } from './selector.ts';
import { matchesSelector, restrictionsOf } from './selector.ts';

/** Items of one place in the index, with their selectors. */
type Shelf<T> = Map<T, LabelSelector>;

export class SelectorIndex<T> {
  readonly #byPair = new Map<string, Map<string, Shelf<T>>>();
  readonly #byKey = new Map<string, Shelf<T>>();
  readonly #unrestricted: Shelf<T> = new Map();
  /** Where an item was put; the choice depends on what was there then. */
  readonly #filed = new Map<T, Restriction | undefined>();

  get size(): number {
    return this.#filed.size;
  }

  add(selector: LabelSelector, item: T): void {
    this.delete(item);
    const restriction = this.#cheapest(restrictionsOf(selector));
    this.#filed.set(item, restriction);
    for (const shelf of this.#shelvesOf(restriction)) shelf.set(item, selector);
  }

  delete(item: T): void {
    if (!this.#filed.has(item)) return;
    const restriction = this.#filed.get(item);
    this.#filed.delete(item);
    for (const shelf of this.#shelvesOf(restriction)) shelf.delete(item);
    if (restriction !== undefined) this.#dropEmpty(restriction);
  }

  /** The items whose selector matches, each once. */
  matching(labels: Labels): T[] {
    const found: T[] = [];
    collect(this.#unrestricted, labels, found);
    for (const key of Object.keys(labels)) {
      const value = labels[key];
      if (value !== undefined) collect(this.#byPair.get(key)?.get(value), labels, found);
      collect(this.#byKey.get(key), labels, found);
    }
    return found;
  }

  /** The restriction with the emptiest shelves, so that a value that everybody asks for (`env=prod`) does not gather them all. */
  #cheapest(restrictions: readonly Restriction[]): Restriction | undefined {
    let best: Restriction | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const restriction of restrictions) {
      if (restriction.kind === 'key' && best !== undefined) break;
      const crowd = this.#crowdOf(restriction);
      if (crowd < least) [best, least] = [restriction, crowd];
    }
    return best;
  }

  #crowdOf(restriction: Restriction): number {
    if (restriction.kind === 'key') return this.#byKey.get(restriction.key)?.size ?? 0;
    const values = this.#byPair.get(restriction.key);
    let crowd = restriction.values.length;
    for (const value of restriction.values) crowd += values?.get(value)?.size ?? 0;
    return crowd;
  }

  /** An `In` is filed under each of its values; an object has one value of a key, so it meets the item once. */
  #shelvesOf(restriction: Restriction | undefined): readonly Shelf<T>[] {
    if (restriction === undefined) return [this.#unrestricted];
    if (restriction.kind === 'key') return [getOrMake(this.#byKey, restriction.key, () => new Map())];
    const values = getOrMake(this.#byPair, restriction.key, () => new Map<string, Shelf<T>>());
    return restriction.values.map((value) => getOrMake(values, value, () => new Map()));
  }

  #dropEmpty(restriction: Restriction): void {
    if (restriction.kind === 'key') {
      if (this.#byKey.get(restriction.key)?.size === 0) this.#byKey.delete(restriction.key);
      return;
    }
    const values = this.#byPair.get(restriction.key);
    for (const value of restriction.values) if (values?.get(value)?.size === 0) values.delete(value);
    if (values?.size === 0) this.#byPair.delete(restriction.key);
  }
}

function collect<T>(shelf: Shelf<T> | undefined, labels: Labels, found: T[]): void {
  if (shelf === undefined) return;
  for (const [item, selector] of shelf) if (matchesSelector(selector, labels)) found.push(item);
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const present = map.get(key);
  if (present !== undefined) return present;
  const made = make();
  map.set(key, made);
  return made;
}
