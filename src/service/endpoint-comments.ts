/** Whether rules about single endpoints carry comments: in a large cluster they are most of what the kernel stores and walks through. */
import type { IpFamily } from '../lib/ip.ts';
import type { PlannedService } from './plan.ts';

/** kube-proxy's limit (kube-proxy.md 2.4): above so many endpoints of a family it leaves these comments out. */
export const commentedEndpoints = 1000;

export class EndpointComments {
  readonly #limit: number;
  readonly #counts = new Map<IpFamily, number>();
  /** As it was when last asked for changes. */
  readonly #had = new Map<IpFamily, boolean>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts one Service as it was decided before and now; undefined: it is not there. */
  replace(before: PlannedService | undefined, after: PlannedService | undefined): void {
    for (const { family, endpoints } of before?.ports ?? []) this.#add(family, -endpoints.length);
    for (const { family, endpoints } of after?.ports ?? []) this.#add(family, endpoints.length);
  }

  has(family: IpFamily): boolean {
    return (this.#counts.get(family) ?? 0) <= this.#limit;
  }

  /** Whether any family has crossed the limit since this was last called. */
  takeChange(families: readonly IpFamily[]): boolean {
    const changed = families.filter((family) => this.has(family) !== (this.#had.get(family) ?? true));
    for (const family of changed) this.#had.set(family, this.has(family));
    return changed.length > 0;
  }

  #add(family: IpFamily, count: number): void {
    this.#counts.set(family, (this.#counts.get(family) ?? 0) + count);
  }
}
