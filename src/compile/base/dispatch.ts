/**
 * Which pod does a packet come from, which does it go to? A routed pod is told by its interface; a pod behind a bridge
 * by its bridge port (from) and its address (to); one whose port is not found by its address alone.
 */
import { type ChainName, fromWorkloadChain, toWorkloadChain } from '../../dataplane/names.ts';
import type { Chain, Rule } from '../../dataplane/rule.ts';
import { from, goTo, jumpTo, to } from '../../dataplane/rule-parts.ts';
import { addressChains, type AddressEntry } from './address-tree.ts';
import { type BaseEndpoint, type BaseInput, baseRule, podRule, singleAddress } from './base-input.ts';
import {
  fromAddressChain,
  fromDispatchChain,
  fromOtherChain,
  fromPortChain,
  toAddressChain,
  toDispatchChain,
  toOtherChain,
} from './chain-names.ts';
import { dispatchChains, type DispatchEntry, type DispatchOptions } from './dispatch-tree.ts';

/** Chains, and the rules with which another chain enters them. */
export interface Dispatch {
  readonly entrance: readonly Rule[];
  readonly chains: readonly Chain[];
}

/** The pods by the way in which their packets are told apart. */
export interface ByBinding {
  readonly routed: readonly DispatchEntry[];
  readonly ports: readonly DispatchEntry[];
  /** Pods behind a bridge. */
  readonly bridged: readonly BaseEndpoint[];
}

export function byBinding(endpoints: readonly BaseEndpoint[], chainOf: (suffix: string) => ChainName): ByBinding {
  const routed: DispatchEntry[] = [];
  const ports: DispatchEntry[] = [];
  const bridged: BaseEndpoint[] = [];
  for (const endpoint of endpoints) {
    const { binding, object, chainSuffix } = endpoint;
    const target = chainOf(chainSuffix);
    if (binding.kind === 'routed') {
      routed.push({ interface: binding.interface, target, object });
    } else {
      bridged.push(endpoint);
      if (binding.port !== undefined) ports.push({ interface: binding.port, target, object });
    }
  }
  return { routed, ports, bridged };
}

/** `cali-from-wl-dispatch` and what follows it. */
export function fromDispatch(input: BaseInput): Dispatch {
  const { routed, ports, bridged } = byBinding(input.endpoints, fromWorkloadChain);
  const withoutPort = bridged.filter(({ binding }) => binding.kind === 'bridged' && binding.port === undefined);
  const addresses = addressEntries(withoutPort, 'source', fromWorkloadChain);
  const byAddress = addresses.length > 0 ? { next: fromAddressChain } : {};
  const isLast = ports.length === 0;
  const first = interfaceDispatch(input.options.interfacePrefixes, routed, {
    root: fromDispatchChain,
    other: fromOtherChain,
    options: { direction: 'in', unknownDrop: false, ...(isLast ? byAddress : { next: fromPortChain }) },
  });
  const portOptions: DispatchOptions = { direction: 'in', physical: true, unknownDrop: false, ...byAddress };
  return {
    entrance: first.entrance,
    chains: [
      ...first.chains,
      ...(isLast ? [] : dispatchChains(fromPortChain, ports, portOptions)),
      ...(addresses.length === 0
        ? []
        : addressChains({ root: fromAddressChain, side: 'source', bucketPrefix: 'cali-from-' }, addresses)),
    ],
  };
}

/** `cali-to-wl-dispatch` and what follows it. */
export function toDispatch(input: BaseInput): Dispatch {
  const { routed, bridged } = byBinding(input.endpoints, toWorkloadChain);
  const addresses = addressEntries(bridged, 'destination', toWorkloadChain);
  const first = interfaceDispatch(input.options.interfacePrefixes, routed, {
    root: toDispatchChain,
    other: toOtherChain,
    options: { direction: 'out', unknownDrop: false, ...(addresses.length > 0 ? { next: toAddressChain } : {}) },
  });
  const tree = { root: toAddressChain, side: 'destination', bucketPrefix: 'cali-to-' } as const;
  return {
    entrance: first.entrance,
    chains: [...first.chains, ...(addresses.length === 0 ? [] : addressChains(tree, addresses))],
  };
}

interface InterfaceRoots {
  readonly root: ChainName;
  readonly other: ChainName;
  readonly options: DispatchOptions;
}

/**
 * Without prefixes the root holds every known interface. Where prefixes belong to pods alone, the root is entered by
 * them, holds the interfaces that have one and drops the rest, as Calico does; the other pods have a root of their own.
 */
function interfaceDispatch(
  prefixes: readonly string[],
  entries: readonly DispatchEntry[],
  { root, other, options }: InterfaceRoots,
): Dispatch {
  if (prefixes.length === 0) {
    const entrance = [baseRule(findsPod(options), [], jumpTo(root))];
    return { entrance, chains: dispatchChains(root, entries, options) };
  }
  const shortest = prefixes.filter((prefix) => !prefixes.some((rest) => rest !== prefix && prefix.startsWith(rest)));
  const hasPrefix = (entry: DispatchEntry) => shortest.some((prefix) => entry.interface.startsWith(prefix));
  return {
    entrance: [
      ...[...new Set(shortest)].map((prefix) =>
        baseRule(
          `interfaces that begin with ${prefix} belong to pods alone`,
          [{ kind: 'interface', direction: options.direction, name: `${prefix}+` }],
          jumpTo(root),
        ),
      ),
      baseRule(`${findsPod(options)} whose interface has no such prefix`, [], jumpTo(other)),
    ],
    chains: [
      ...dispatchChains(root, entries.filter(hasPrefix), { direction: options.direction, unknownDrop: true }),
      ...dispatchChains(
        other,
        entries.filter((entry) => !hasPrefix(entry)),
        options,
      ),
    ],
  };
}

function findsPod({ direction }: DispatchOptions): string {
  return direction === 'in' ? 'finds the pod that sent the packet' : 'finds the pod that the packet goes to';
}

function addressEntries(
  endpoints: readonly BaseEndpoint[],
  side: 'source' | 'destination',
  chainOf: (suffix: string) => ChainName,
): readonly AddressEntry[] {
  return endpoints.flatMap((endpoint) => {
    const { address, chainSuffix } = endpoint;
    if (address === undefined) return [];
    const cidr = singleAddress(address);
    const note = side === 'source' ? 'packets from this pod, by its address' : 'packets to this pod, by its address';
    const match = side === 'source' ? from(cidr) : to(cidr);
    return [{ address, rule: podRule(endpoint, note, [match], goTo(chainOf(chainSuffix))) }];
  });
}
