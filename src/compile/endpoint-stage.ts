/** Keeps cali-tw and cali-fw of every programmed pod. */
import type { DeltaBuilder } from '../dataplane/delta-builder.ts';
import { fromWorkloadChain, toWorkloadChain } from '../dataplane/names.ts';
import type { Chain } from '../dataplane/rule.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpFamily } from '../lib/ip.ts';
import { renderEndpointChains } from '../policy/endpoint-chains.ts';
import type { BoundEndpoint } from './bound-endpoint.ts';
import type { CompileOptions } from './options.ts';
import { tryRender } from './try-render.ts';

export class EndpointStage {
  readonly #options: CompileOptions;
  readonly #failures = new Map<string, Diagnostic>();
  #present: ReadonlyMap<string, BoundEndpoint> = new Map();
  #conntrackLiberal = false;

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.#failures.values()];
  }

  apply(endpoints: ReadonlyMap<string, BoundEndpoint>, conntrackLiberal: boolean, builder: DeltaBuilder): void {
    if (endpoints === this.#present && conntrackLiberal === this.#conntrackLiberal) return;
    const isAll = conntrackLiberal !== this.#conntrackLiberal;
    const before = this.#present;
    this.#present = endpoints;
    this.#conntrackLiberal = conntrackLiberal;
    // All removals first: an interface may have passed from one pod to another.
    for (const [key, old] of before) if (isAll || old !== endpoints.get(key)) this.#remove(old, builder);
    for (const [key, now] of endpoints) if (isAll || now !== before.get(key)) this.#put(now, builder);
  }

  #remove(endpoint: BoundEndpoint, builder: DeltaBuilder): void {
    this.#failures.delete(endpoint.key);
    for (const family of this.#familiesOf(endpoint)) {
      builder.removeChain(family, 'filter', toWorkloadChain(endpoint.chainSuffix));
      builder.removeChain(family, 'filter', fromWorkloadChain(endpoint.chainSuffix));
    }
  }

  #put(endpoint: BoundEndpoint, builder: DeltaBuilder): void {
    const chains = this.#render(endpoint);
    for (const family of this.#familiesOf(endpoint)) {
      for (const chain of chains) builder.putChain(family, 'filter', chain);
    }
  }

  #render(endpoint: BoundEndpoint): readonly Chain[] {
    const { chainSuffix, key } = endpoint;
    const invalidDrop = this.#options.invalidDrop && !this.#conntrackLiberal;
    const rendered = tryRender(`Pod ${key}`, () => renderEndpointChains(endpoint, chainSuffix, { invalidDrop }));
    if (rendered.chains !== undefined) return rendered.chains;
    this.#failures.set(key, rendered.diagnostic);
    const nothing = { key, ingress: [], egress: [], profiles: [] };
    return renderEndpointChains(nothing, chainSuffix, { invalidDrop, disabled: true });
  }

  #familiesOf(endpoint: BoundEndpoint): readonly IpFamily[] {
    return this.#options.ipFamilies.filter((family) => endpoint.bindings[family] !== undefined);
  }
}
