/** What an administrator chooses for a lab, and the addresses that a lab uses by itself. */
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { knownCidr, knownIp } from '../lib/ip.ts';

export interface LabOptions {
  /** Manifests of the user. */
  readonly directory: string;
  /** Lower-case letters, digits and dashes: part of every name that the lab gives. */
  readonly name: string;
  readonly cni: 'ptp' | 'bridge';
  readonly ipFamilies: readonly IpFamily[];
  readonly iptables: 'nft' | 'legacy';
  /** Number of nodes where the manifests have no Node; absent: one. */
  readonly nodes?: number;
  /** False: wiring and servers alone, for tests. */
  readonly agents: boolean;
  /** More arguments of every agent, such as `--established keep`. */
  readonly agentArguments: readonly string[];
}

export const labDefaults: Omit<LabOptions, 'directory'> = {
  name: 'sluice',
  cni: 'ptp',
  ipFamilies: ['ipv4'],
  iptables: 'nft',
  agents: true,
  agentArguments: [],
};

/** The underlay joins the nodes; the outside client lies behind its router. */
export const underlayNetworks: Readonly<Record<IpFamily, Cidr>> = {
  ipv4: knownCidr('172.31.255.0/24'),
  ipv6: knownCidr('fd00:172:31:255::/64'),
};
export const outsideNetworks: Readonly<Record<IpFamily, Cidr>> = {
  ipv4: knownCidr('172.31.254.0/24'),
  ipv6: knownCidr('fd00:172:31:254::/64'),
};
export const outsideAddresses: Readonly<Record<IpFamily, IpAddress>> = {
  ipv4: knownIp('172.31.254.2'),
  ipv6: knownIp('fd00:172:31:254::2'),
};
export const outsideRouterAddresses: Readonly<Record<IpFamily, IpAddress>> = {
  ipv4: knownIp('172.31.254.1'),
  ipv6: knownIp('fd00:172:31:254::1'),
};

/** Gateways of pods on a node without a pod CIDR of that family. */
export const fallbackGateways: Readonly<Record<IpFamily, IpAddress>> = {
  ipv4: knownIp('169.254.1.1'),
  ipv6: knownIp('fe80::a9fe:101'),
};
