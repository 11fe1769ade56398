/**
 * raw PREROUTING: a pod sends from its own addresses only. By address and not by reverse path, because on a bridge that
 * sees the bridge alone (netfilter-facts A6). Always DROP: the kernel refuses REJECT in raw.
 */
import { sourceCheckChain } from '../../dataplane/names.ts';
import type { Chain, Match, Rule } from '../../dataplane/rule.ts';
import { drop, from, goTo, jumpTo, returnToCaller } from '../../dataplane/rule-parts.ts';
import { knownCidr } from '../../lib/ip.ts';
import { type BaseEndpoint, type BaseInput, baseRule, podRule, singleAddress } from './base-input.ts';
import { preroutingChain, rawDispatchChain, rawNeighbourChain, rawPortChain, rawRouterChain } from './chain-names.ts';
import { byBinding } from './dispatch.ts';
import { dispatchChains } from './dispatch-tree.ts';
import {
  isIcmpv6Type,
  linkLocal,
  neighbourTypes,
  redirect,
  routerAdvertisement,
  unspecified,
} from './neighbour-discovery.ts';

/** cali-PREROUTING of the raw table, its dispatch, and one chain a pod. */
export function sourceCheckChains(input: BaseInput): readonly Chain[] {
  const { routed, ports, bridged } = byBinding(input.endpoints, sourceCheckChain);
  const withoutPort = new Set(
    bridged.filter(({ binding }) => binding.kind === 'bridged' && binding.port === undefined),
  );
  const checked = input.endpoints.filter((endpoint) => !withoutPort.has(endpoint));
  const next = ports.length > 0 ? { next: rawPortChain } : {};
  return [
    {
      name: preroutingChain,
      style: 'cali',
      rules: [
        baseRule('finds the pod that sent the packet, to check its source address', [], jumpTo(rawDispatchChain)),
      ],
    },
    ...dispatchChains(rawDispatchChain, routed, { direction: 'in', unknownDrop: false, ...next }),
    ...(ports.length > 0
      ? dispatchChains(rawPortChain, ports, { direction: 'in', physical: true, unknownDrop: false })
      : []),
    ...(input.family === 'ipv6' ? [routerChain(), neighbourChain()] : []),
    ...checked.map((endpoint) => podChain(endpoint, input)),
  ];
}

function podChain(endpoint: BaseEndpoint, { family }: BaseInput): Chain {
  const { address, allowedSources, chainSuffix } = endpoint;
  const rules = [
    ...(family === 'ipv6'
      ? [podRule(endpoint, 'a pod is no router', [{ kind: 'protocol', protocol: 'ipv6-icmp' }], jumpTo(rawRouterChain))]
      : []),
    ...(address === undefined
      ? []
      : [podRule(endpoint, "the pod's own address", [from(singleAddress(address))], returnToCaller)]),
    ...allowedSources.map((cidr) =>
      podRule(endpoint, 'allowed by annotation sluice.io/allowed-source-prefixes', [from(cidr)], returnToCaller),
    ),
    ...(family === 'ipv4' ? [dhcpRule(endpoint)] : discoveryRules(endpoint)),
    podRule(endpoint, "the source is none of the pod's own addresses", [], drop),
  ];
  return { name: sourceCheckChain(chainSuffix), style: 'cali', rules };
}

function discoveryRules(endpoint: BaseEndpoint): readonly Rule[] {
  const note = 'neighbour discovery alone may come from a link-local or no address';
  return [linkLocal, unspecified].map((cidr) => podRule(endpoint, note, [from(cidr)], goTo(rawNeighbourChain)));
}

function dhcpRule(endpoint: BaseEndpoint): Rule {
  const matches = [...udp(68, 67, from(knownCidr('0.0.0.0/32')))];
  return podRule(endpoint, 'DHCP: the pod asks for an address', matches, returnToCaller);
}

function routerChain(): Chain {
  const note = "would take over the default route of the pod's neighbours";
  const rules = [
    baseRule(`a router advertisement ${note}`, isIcmpv6Type(routerAdvertisement), drop),
    baseRule(`a redirect ${note}`, isIcmpv6Type(redirect), drop),
  ];
  return { name: rawRouterChain, style: 'cali', rules };
}

function neighbourChain(): Chain {
  const note = 'neighbour or multicast listener discovery';
  const rules = [
    ...neighbourTypes.map((type) => baseRule(note, isIcmpv6Type(type), returnToCaller)),
    baseRule('DHCPv6: the pod asks for an address', udp(546, 547), returnToCaller),
    baseRule('nothing else may come from a link-local or no address', [], drop),
  ];
  return { name: rawNeighbourChain, style: 'cali', rules };
}

function udp(sourcePort: number, destinationPort: number, ...source: readonly Match[]): readonly Match[] {
  return [
    { kind: 'protocol', protocol: 'udp' },
    ...source,
    { kind: 'ports', side: 'source', ports: [{ first: sourcePort, last: sourcePort }] },
    { kind: 'ports', side: 'destination', ports: [{ first: destinationPort, last: destinationPort }] },
  ];
}
