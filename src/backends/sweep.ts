/** A compare of everything that takes its time: one bounded part after the other, each with what is wanted at that moment. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { ObservedDataplane } from '../dataplane/observed.ts';
import type { Section } from '../dataplane/section.ts';
import { differingIn } from '../dataplane/section.ts';
import type { Backend, ReadScope } from './backend.ts';

export class Sweep {
  readonly #sections: AsyncGenerator<Section, void, void>;
  #wanted: Dataplane;

  constructor(backend: Pick<Backend, 'readSections'>, wanted: Dataplane) {
    this.#wanted = wanted;
    this.#sections = backend.readSections(() => this.#wanted);
  }

  /** Reads the next part; what of it differs. Undefined: that was all. */
  async next(wanted: Dataplane, { ipSets }: Pick<ObservedDataplane, 'ipSets'>): Promise<ReadScope | undefined> {
    this.#wanted = wanted;
    const { done, value } = await this.#sections.next();
    return done === true ? undefined : differingIn(value, wanted, ipSets);
  }
}
