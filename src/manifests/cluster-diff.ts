/** From whole clusters to changes: an object that is equal to the one before is no change. */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterObject } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { ClusterChange } from '../cluster/state.ts';
import { identityOf } from './keys.ts';

export class ClusterDiff {
  readonly #lists: ListDiff[] = [];

  /**
   * What makes the cluster of the call before into this one. The lists are its parts, the same parts in each call; one that is
   * the very same array as before costs nothing.
   */
  changesTo(...lists: readonly (readonly ClusterObject[])[]): readonly ClusterChange[] {
    const changes = lists.map((list, at) => {
      this.#lists[at] ??= new ListDiff();
      return this.#lists[at].changesTo(list);
    });
    return [...changes.flatMap(({ set }) => set), ...changes.flatMap(({ deleted }) => deleted)];
  }
}

interface ListChanges {
  readonly set: readonly ClusterChange[];
  readonly deleted: readonly ClusterChange[];
}

class ListDiff {
  #list: readonly ClusterObject[] = [];
  #known = new Map<string, ClusterObject>();

  changesTo(objects: readonly ClusterObject[]): ListChanges {
    if (objects === this.#list) return { set: [], deleted: [] };
    this.#list = objects;
    const set: ClusterChange[] = [];
    const now = new Map<string, ClusterObject>();
    for (const object of objects) {
      const identity = identityOf(object);
      const before = this.#known.get(identity);
      const isSame = before === object || (before !== undefined && isDeepStrictEqual(before, object));
      now.set(identity, isSame ? before : object);
      if (!isSame) set.push({ type: 'set', object });
    }
    const deleted: ClusterChange[] = [];
    for (const [identity, object] of this.#known) {
      if (!now.has(identity)) deleted.push({ type: 'delete', kind: object.kind, key: keyOf(object) });
    }
    this.#known = now;
    return { set, deleted };
  }
}
