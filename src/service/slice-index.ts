/** EndpointSlices by their Service. */
import type { EndpointSlice } from '../cluster/objects.ts';
import { flat } from '../lib/compact.ts';

export class SliceIndex {
  readonly #byService = new Map<string, readonly EndpointSlice[]>();

  set(slice: EndpointSlice): void {
    this.#byService.set(serviceKey(slice), [...this.#others(slice), slice]);
  }

  delete(slice: EndpointSlice): void {
    const others = this.#others(slice);
    if (others.length === 0) this.#byService.delete(serviceKey(slice));
    else this.#byService.set(serviceKey(slice), others);
  }

  of(service: string): readonly EndpointSlice[] {
    return this.#byService.get(service) ?? [];
  }

  #others(slice: EndpointSlice): readonly EndpointSlice[] {
    return this.of(serviceKey(slice)).filter((other) => other.name !== slice.name);
  }
}

/** `namespace/name` of the Service that a slice belongs to. */
export function serviceKey(slice: EndpointSlice): string {
  return flat(slice.namespace, '/', slice.service);
}
