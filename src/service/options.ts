/** How Services are served on this node (kube-proxy.md 1.5, 1.6). */
import type { Cidr, IpAddress } from '../lib/ip.ts';

export type LocalTrafficDetector =
  | { readonly kind: 'clusterCidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'nodeCidr'; readonly cidrs: readonly Cidr[] }
  | { readonly kind: 'bridge'; readonly name: string }
  | { readonly kind: 'interfacePrefix'; readonly prefix: string }
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
}
