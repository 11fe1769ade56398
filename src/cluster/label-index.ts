/** Many objects, one selector: which of them may match? A key is indexed from the first selector on that asks for it. */
import type { LabelSelector, Labels } from './objects.ts';
import type { Restriction } from './selector.ts';
import { labelOf, restrictionsOf } from './selector.ts';

/** So few candidates are looked at one by one: not worth the index of another key. */
const fewObjects = 256;

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

  /** `objects` yields every object that was added and not deleted. */
  constructor(objects: () => Iterable<T>) {
    this.#objects = objects;
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

  /** A superset of what `selector` matches, as small as one required label makes it; undefined where it requires none. */
  candidates(selector: LabelSelector): Candidates<T> | undefined {
    const restrictions = restrictionsOf(selector);
    const isIndexed = ({ key }: Restriction): boolean => this.#keys.has(key);
    let best = smallest(restrictions.filter(isIndexed).map((restriction) => this.#lookUp(restriction)));
    for (const restriction of restrictions) {
      if (best !== undefined && best.size <= fewObjects) break;
      if (!isIndexed(restriction)) best = smallest([this.#lookUp(restriction), ...(best === undefined ? [] : [best])]);
    }
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

function smallest<T>(found: readonly Candidates<T>[]): Candidates<T> | undefined {
  return found.reduce<Candidates<T> | undefined>(
    (best, next) => (best === undefined || next.size < best.size ? next : best),
    undefined,
  );
}

function insert<T>(values: Map<string, Set<T>>, value: string | undefined, object: T): void {
  if (value === undefined) return;
  const group = values.get(value);
  if (group === undefined) values.set(value, new Set([object]));
  else group.add(object);
}
