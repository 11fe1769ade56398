/** From the administrator's settings to the compiler's. */
import type { ClusterState } from '../cluster/state.ts';
import type { CompileOptions } from '../compile/options.ts';
import type { Config } from '../config/schema.ts';
import { primaryAddresses } from '../config/schema.ts';
import { ipFamilies } from '../dataplane/dataplane.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { LocalTrafficDetector, ServiceOptions } from '../service/options.ts';
import { hostCidr } from '../service/rules.ts';

export function compileOptions(
  config: Config,
  nodeName: string,
  state: ClusterState,
  facts: NodeFacts,
): CompileOptions {
  const { podStart, established, hostEgress, hostEndpointAction, invalidDrop, interfacePrefixes } = config;
  return {
    nodeName,
    ipFamilies: [...new Set(config.ipFamilies)],
    podStart,
    established,
    hostEgress,
    hostEndpointAction,
    invalidDrop,
    interfacePrefixes,
    ...(config.natOutgoing ? { natOutgoing: config.clusterCidrs } : {}),
    ...(config.serviceProxy ? { services: serviceOptions(config, nodeName, state, facts) } : {}),
  };
}

function serviceOptions(config: Config, nodeName: string, state: ClusterState, facts: NodeFacts): ServiceOptions {
  return {
    nodeName,
    detector: detectorOf(config, nodeName, state, facts),
    masqueradeAll: config.masqueradeAll,
    nodePortAddresses: chosenForNodePorts(config, state.nodes.get(nodeName)?.addresses ?? facts.nodeAddresses),
    localhostNodePorts: config.localhostNodePorts,
    externalIps: config.externalIps,
    nodeAddresses: primaryFirst(facts.nodeAddresses, state.nodes.get(nodeName)?.addresses ?? []),
    conntrackLiberal: facts.conntrackLiberal,
  };
}

/**
 * Where no CIDR of the cluster is known, or more than a rule can name, the pods themselves are: all but the first would be taken for
 * strangers and masqueraded. A detector that knows nothing to look for is none.
 */
function detectorOf(config: Config, nodeName: string, state: ClusterState, facts: NodeFacts): LocalTrafficDetector {
  switch (config.localTrafficDetector) {
    case 'clusterCidr':
      return isOneOfEachFamily(config.clusterCidrs)
        ? { kind: 'clusterCidr', cidrs: config.clusterCidrs }
        : { kind: 'localPods' };
    case 'nodeCidr': {
      const cidrs = state.nodes.get(nodeName)?.podCidrs ?? [];
      return cidrs.length === 0 ? { kind: 'none' } : { kind: 'nodeCidr', cidrs };
    }
    case 'interfacePrefix': {
      const [prefix, ...others] = config.interfacePrefixes;
      if (prefix === undefined) return { kind: 'none' };
      return others.length > 0 ? { kind: 'localPods' } : { kind: 'interfacePrefix', prefix };
    }
    case 'bridge': {
      const bridges = [...facts.bindings.values()].flatMap((one) => (one.kind === 'bridged' ? one.bridge : []));
      const [name] = bridges.toSorted();
      return name === undefined ? { kind: 'none' } : { kind: 'bridge', name };
    }
    default:
      return { kind: config.localTrafficDetector };
  }
}

function chosenForNodePorts({ nodePortAddresses }: Config, addresses: readonly IpAddress[]): readonly Cidr[] {
  return nodePortAddresses.flatMap((choice) => (choice === primaryAddresses ? primaryCidrs(addresses) : [choice]));
}

function isOneOfEachFamily(cidrs: readonly Cidr[]): boolean {
  return cidrs.length > 0 && new Set(cidrs.map(({ family }) => family)).size === cidrs.length;
}

/** As for kube-proxy, the primary address is the first of its family; where there is none, nothing of that family is chosen. */
export function primaryCidrs(addresses: readonly IpAddress[]): readonly Cidr[] {
  const primary = ipFamilies.flatMap((family) => addresses.find((address) => familyOf(address) === family) ?? []);
  return primary.map(hostCidr);
}

/** The addresses that the cluster knows the node by come first; of the others, in the order of the node's interfaces. */
function primaryFirst(own: readonly IpAddress[], known: readonly IpAddress[]): readonly IpAddress[] {
  const primary = known.filter((address) => own.includes(address));
  return [...primary, ...own.filter((address) => !primary.includes(address))];
}
