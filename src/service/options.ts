/** How Services are served on this node (kube-proxy.md 1.5, 1.6). */
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';

export type LocalTrafficDetector =
  | { readonly kind: 'clusterCidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'nodeCidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'bridge'; readonly name: string }
  | { readonly kind: 'interfacePrefix'; readonly prefix: string }
  /** By the set of the programmed pods: exact whatever the addresses and interfaces, and ours alone. */
  | { readonly kind: 'localPods' }
  | { readonly kind: 'none' };

export interface ServiceOptions {
  readonly nodeName: string;
  readonly detector: LocalTrafficDetector;
  readonly masqueradeAll: boolean;
  /** Empty: every local address. */
  readonly nodePortAddresses: readonly Cidr[];
  readonly localhostNodePorts: boolean;
  /** Local addresses of the node, primary of each family first. */
  readonly nodeAddresses: readonly IpAddress[];
  /** nf_conntrack_tcp_be_liberal: no INVALID drop in KUBE-FORWARD. */
  readonly conntrackLiberal: boolean;
  /** false: `spec.externalIPs` have no rules (kube-proxy's AllowServiceExternalIPs). Absent: they have. */
  readonly externalIps?: boolean;
}

/** The CIDR that tells a pod's packets of this family from others'; absent: this detector knows none. */
export function detectorCidr(detector: LocalTrafficDetector, family: IpFamily): Cidr | undefined {
  if (detector.kind !== 'clusterCidr' && detector.kind !== 'nodeCidr') return undefined;
  return detector.cidrs.find((cidr) => cidr.family === family);
}
