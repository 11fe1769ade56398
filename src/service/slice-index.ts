/** EndpointSlices by their Service. */
import { type EndpointSlice, keyOf } from '../cluster/objects.ts';

export class SliceIndex {
  readonly #byService = new Map<string, Map<string, EndpointSlice>>();

  set(slice: EndpointSlice): void {
    const service = serviceKey(slice);
    const slices = this.#byService.get(service) ?? new Map<string, EndpointSlice>();
    slices.set(keyOf(slice), slice);
    this.#byService.set(service, slices);
  }

  delete(slice: EndpointSlice): void {
    const slices = this.#byService.get(serviceKey(slice));
    slices?.delete(keyOf(slice));
    if (slices?.size === 0) this.#byService.delete(serviceKey(slice));
  }

  of(service: string): Iterable<EndpointSlice> {
    return this.#byService.get(service)?.values() ?? [];
  }
}

/** `namespace/name` of the Service that a slice belongs to. */
export function serviceKey(slice: EndpointSlice): string {
  return `${slice.namespace}/${slice.service}`;
}
