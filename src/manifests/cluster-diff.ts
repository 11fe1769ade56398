/** From whole clusters to changes: an object that is equal to the one before is no change. */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterObject } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { ClusterChange } from '../cluster/state.ts';
import { identityOf } from './keys.ts';

export class ClusterDiff {
  #known = new Map<string, ClusterObject>();

  /** What makes the cluster of the call before into this one. */
  changesTo(objects: readonly ClusterObject[]): readonly ClusterChange[] {
    const changes: ClusterChange[] = [];
    const now = new Map<string, ClusterObject>();
    for (const object of objects) {
      const identity = identityOf(object);
      const before = this.#known.get(identity);
      const isSame = before === object || (before !== undefined && isDeepStrictEqual(before, object));
      now.set(identity, isSame ? before : object);
      if (!isSame) changes.push({ type: 'set', object });
    }
    for (const [identity, object] of this.#known) {
      if (!now.has(identity)) changes.push({ type: 'delete', kind: object.kind, key: keyOf(object) });
    }
    this.#known = now;
    return changes;
  }
}
