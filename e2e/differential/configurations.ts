/** How both are set up: each way of telling pods from others, of masquerading, and of choosing where node ports answer. */
import { clusterCidrs, underlayCidrs } from './topology.ts';
import type { PodWiring } from './world.ts';
import { bridgeName, podInterfacePrefix } from './world.ts';

export interface Configuration {
  readonly name: string;
  readonly wiring: PodWiring;
  /** Parts of a KubeProxyConfiguration. */
  readonly kubeProxy: KubeProxySettings;
  /** The same in flags of `sluice agent`. */
  readonly sluice: readonly string[];
}

export interface KubeProxySettings {
  readonly clusterCIDR?: string;
  readonly detectLocalMode?: 'ClusterCIDR' | 'NodeCIDR' | 'BridgeInterface' | 'InterfaceNamePrefix';
  readonly detectLocal?: { readonly bridgeInterface?: string; readonly interfaceNamePrefix?: string };
  readonly iptables?: { readonly masqueradeAll?: boolean; readonly localhostNodePorts?: boolean };
  readonly nodePortAddresses?: readonly string[];
}

const allPods = `${clusterCidrs.ipv4},${clusterCidrs.ipv6}`;
const byCidr = {
  kubeProxy: { clusterCIDR: allPods, detectLocalMode: 'ClusterCIDR' },
  sluice: ['--cluster-cidrs', allPods],
} as const;
const chosen = [underlayCidrs.ipv4, underlayCidrs.ipv6];
const chosenAndLocalhost = [...chosen, '127.0.0.0/8'];

export const configurations: readonly Configuration[] = [
  { name: 'cluster CIDR', wiring: 'ptp', ...byCidr },
  { name: 'cluster CIDR, bridge', wiring: 'bridge', ...byCidr },
  {
    name: 'masquerade all',
    wiring: 'ptp',
    kubeProxy: { ...byCidr.kubeProxy, iptables: { masqueradeAll: true } },
    sluice: [...byCidr.sluice, '--masquerade-all'],
  },
  {
    name: 'no detector',
    wiring: 'ptp',
    kubeProxy: { detectLocalMode: 'ClusterCIDR' },
    sluice: ['--local-traffic-detector', 'none'],
  },
  {
    name: 'node CIDR',
    wiring: 'ptp',
    kubeProxy: { detectLocalMode: 'NodeCIDR' },
    sluice: ['--local-traffic-detector', 'nodeCidr'],
  },
  {
    name: 'bridge interface',
    wiring: 'bridge',
    kubeProxy: { detectLocalMode: 'BridgeInterface', detectLocal: { bridgeInterface: bridgeName } },
    sluice: ['--local-traffic-detector', 'bridge'],
  },
  {
    name: 'interface prefix',
    wiring: 'ptp',
    kubeProxy: { detectLocalMode: 'InterfaceNamePrefix', detectLocal: { interfaceNamePrefix: podInterfacePrefix } },
    sluice: ['--local-traffic-detector', 'interfacePrefix', '--interface-prefixes', podInterfacePrefix],
  },
  {
    name: 'chosen node port addresses',
    wiring: 'ptp',
    kubeProxy: { ...byCidr.kubeProxy, nodePortAddresses: chosen },
    sluice: [...byCidr.sluice, '--node-port-addresses', chosen.join(',')],
  },
  {
    name: 'chosen node port addresses and localhost',
    wiring: 'ptp',
    kubeProxy: { ...byCidr.kubeProxy, nodePortAddresses: chosenAndLocalhost },
    sluice: [...byCidr.sluice, '--node-port-addresses', chosenAndLocalhost.join(',')],
  },
  {
    name: 'primary node port addresses',
    wiring: 'ptp',
    kubeProxy: { ...byCidr.kubeProxy, nodePortAddresses: ['primary'] },
    sluice: [...byCidr.sluice, '--node-port-addresses', 'primary'],
  },
  {
    name: 'no node ports on localhost',
    wiring: 'ptp',
    kubeProxy: { ...byCidr.kubeProxy, iptables: { localhostNodePorts: false } },
    sluice: [...byCidr.sluice, '--localhost-node-ports=false'],
  },
];
