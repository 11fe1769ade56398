/** The ranges that a cluster of manifests takes its values from when the files do not state them. */
import type { Cidr, IpFamily } from '../lib/ip.ts';
import { knownCidr } from '../lib/ip.ts';

export interface ClusterDefaults {
  /** At least so many nodes; absent: the Node objects (and nodes that pods name), else one. */
  readonly nodeCount?: number;
  /** Families that pods, nodes and Services get addresses of; the first is the primary one. */
  readonly ipFamilies: readonly IpFamily[];
  /** Cut into one /24 (IPv4) or /64 (IPv6) a node. */
  readonly podCidr: Readonly<Record<IpFamily, Cidr>>;
  readonly serviceCidr: Readonly<Record<IpFamily, Cidr>>;
  /** Node addresses. */
  readonly underlay: Readonly<Record<IpFamily, Cidr>>;
}

/** The API server's default range; an API server may be given another one. */
export const defaultNodePorts = { first: 30_000, last: 32_767 } as const;

/** The lab's defaults, with what the caller chooses itself. */
export function clusterDefaults(choices: Partial<ClusterDefaults> = {}): ClusterDefaults {
  return {
    ipFamilies: ['ipv4'],
    podCidr: { ipv4: knownCidr('10.88.0.0/16'), ipv6: knownCidr('fd00:10:88::/48') },
    serviceCidr: { ipv4: knownCidr('10.96.0.0/16'), ipv6: knownCidr('fd00:10:96::/112') },
    underlay: { ipv4: knownCidr('172.31.255.0/24'), ipv6: knownCidr('fd00:172:31:255::/64') },
    ...choices,
  };
}
