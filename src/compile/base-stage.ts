/** Keeps the base chains and their sets: they change with local pods, their interfaces and this node's pod CIDRs, never with policies. */
import type { Node } from '../cluster/objects.ts';
import type { DeltaBuilder } from '../dataplane/delta-builder.ts';
import type { ChainName } from '../dataplane/names.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import { renderBaseChains } from './base/base-chains.ts';
import { baseEndpoint, type BaseInput } from './base/base-input.ts';
import { baseSets } from './base/base-sets.ts';
import type { WorkloadEndpoint } from '../policy/plan.ts';
import type { BoundEndpoint } from './bound-endpoint.ts';
import type { CompileOptions } from './options.ts';

export interface BaseState {
  readonly bound: ReadonlyMap<string, BoundEndpoint>;
  readonly planned: ReadonlyMap<string, WorkloadEndpoint>;
  readonly node: Node | undefined;
}

interface Rendered {
  readonly input: BaseInput;
  readonly chains: readonly { readonly table: TableName; readonly name: ChainName }[];
}

export class BaseStage {
  readonly #options: CompileOptions;
  readonly #rendered = new Map<IpFamily, Rendered>();
  #present: ReadonlyMap<string, BoundEndpoint> | undefined;
  #node: Node | undefined;

  constructor(options: CompileOptions) {
    this.#options = options;
  }

  /** `planned` changes only together with `bound`. */
  apply({ bound, planned, node }: BaseState, builder: DeltaBuilder): void {
    if (bound === this.#present && node === this.#node) return;
    this.#present = bound;
    this.#node = node;
    for (const family of this.#options.ipFamilies) {
      const pods = { bound: bound.values(), planned: planned.values() };
      for (const set of baseSets(family, this.#options, pods)) builder.putSet(set);
      this.#putChains(family, this.#inputOf(family, bound, node), builder);
    }
  }

  #putChains(family: IpFamily, input: BaseInput, builder: DeltaBuilder): void {
    const before = this.#rendered.get(family);
    if (before !== undefined && sameValue(before.input, input)) return;
    const chains = renderBaseChains(input);
    for (const { table, name } of before?.chains ?? []) builder.removeChain(family, table, name);
    for (const { table, chain } of chains) builder.putChain(family, table, chain);
    this.#rendered.set(family, { input, chains: chains.map(({ table, chain }) => ({ table, name: chain.name })) });
  }

  #inputOf(family: IpFamily, endpoints: ReadonlyMap<string, BoundEndpoint>, node: Node | undefined): BaseInput {
    return {
      family,
      options: this.#options,
      podCidrs: (node?.podCidrs ?? []).filter((cidr) => cidr.family === family),
      endpoints: [...endpoints.values()].flatMap((endpoint) => baseEndpoint(endpoint, family) ?? []),
    };
  }
}
