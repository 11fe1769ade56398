/** Sets that could not be destroyed, and how often that was tried: the kernel may let go of a removed rule's set a moment later. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { ObservedDataplane } from '../dataplane/observed.ts';

const destroyTries = 5;

export class KeptSets {
  readonly #tries = new Map<string, number>();

  get size(): number {
    return this.#tries.size;
  }

  /** After a try to destroy `names`, of which `kept` are still there. What somebody else's rule holds is left to the full compare. */
  remember(names: readonly string[], kept: readonly string[]): void {
    for (const name of names) {
      const tries = (this.#tries.get(name) ?? 0) + 1;
      if (kept.includes(name) && tries < destroyTries) this.#tries.set(name, tries);
      else this.#tries.delete(name);
    }
  }

  /** What is to be tried again: not what is wanted again, or gone. */
  due({ ipSets }: Dataplane, observed: Pick<ObservedDataplane, 'ipSets'>): readonly string[] {
    const wanted = new Set<string>(ipSets.keys());
    const isDue = (name: string): boolean => !wanted.has(name) && observed.ipSets.has(name);
    for (const name of this.#tries.keys()) if (!isDue(name)) this.#tries.delete(name);
    return [...this.#tries.keys()];
  }
}
