/** Many objects, one selector: which of them may match? A key is indexed from the first selector on that asks for it. */
import type { LabelSelector, Labels } from './objects.ts';
import type { Restriction } from './selector.ts';
import { labelOf, restrictionsOf } from './selector.ts';

/** So many objects are looked at one by one rather than to index another key, which looks at every object there is. */
export const worthScanning = 512;

export interface Labelled {
  readonly labels: Labels;
}

export interface Candidates<T> {
  readonly size: number;
  /** Disjoint. */
  readonly groups: readonly ReadonlySet<T>[];
}

export class LabelIndex<T extends Labelled> {
  readonly #objects: () => Iterable<T>;
  /** Key to value to objects; only of keys that were asked for, because most labels never are. */
  readonly #keys = new Map<string, Map<string, Set<T>>>();

  readonly #scanLimit: number;

  /** `objects` yields every object that was added and not deleted. */
  constructor(objects: () => Iterable<T>, scanLimit: number) {
    this.#objects = objects;
    this.#scanLimit = scanLimit;
  }

  add(object: T): void {
    for (const [key, values] of this.#keys) insert(values, labelOf(object.labels, key), object);
  }

  delete(object: T): void {
    for (const [key, values] of this.#keys) {
      const value = labelOf(object.labels, key);
      if (value === undefined) continue;
      const group = values.get(value);
      group?.delete(object);
      if (group?.size === 0) values.delete(value);
    }
  }

  /**
   * A superset of what `selector` matches, as small as one required label makes it. undefined where that is no help
   * to a caller who would else look at `alternative` objects.
   */
  candidates(selector: LabelSelector, alternative: number): Candidates<T> | undefined {
    const restrictions = restrictionsOf(selector);
    const isIndexed = ({ key }: Restriction): boolean => this.#keys.has(key);
    let best: Candidates<T> | undefined;
    let least = alternative;
    const consider = (restriction: Restriction): void => {
      const found = this.#lookUp(restriction);
      if (found.size < least) [best, least] = [found, found.size];
    };
    const unindexed = restrictions.filter((restriction) => !isIndexed(restriction));
    restrictions.filter(isIndexed).forEach(consider);
    for (const restriction of unindexed) if (least > this.#scanLimit) consider(restriction);
    return best;
  }

  #lookUp(restriction: Restriction): Candidates<T> {
    const values = this.#valuesOf(restriction.key);
    const groups: Set<T>[] = [];
    for (const value of restriction.kind === 'pairs' ? restriction.values : values.keys()) {
      const group = values.get(value);
      if (group !== undefined) groups.push(group);
    }
    return { groups, size: groups.reduce((sum, group) => sum + group.size, 0) };
  }

  #valuesOf(key: string): Map<string, Set<T>> {
    const present = this.#keys.get(key);
    if (present !== undefined) return present;
    const values = new Map<string, Set<T>>();
    for (const object of this.#objects()) insert(values, labelOf(object.labels, key), object);
    this.#keys.set(key, values);
    return values;
  }
}

function insert<T>(values: Map<string, Set<T>>, value: string | undefined, object: T): void {
  if (value === undefined) return;
  const group = values.get(value);
  if (group === undefined) values.set(value, new Set([object]));
  else group.add(object);
}
