/** How a local pod's packets enter and leave its node's own network stack; found by the agent, never named by us. */
import type { IpAddress } from '../lib/ip.ts';

export type EndpointBinding =
  /** The route to the pod goes straight into its host-side veth. */
  | { readonly kind: 'routed'; readonly interface: string }
  /** The route goes to a bridge; `port` is the pod's host-side veth, a port of it (absent while it cannot be found). */
  | { readonly kind: 'bridged'; readonly bridge: string; readonly port?: string };

/** What a node knows about itself that is not in the cluster's objects. */
export interface NodeFacts {
  /** By pod address; a pod without an entry is not yet reachable, so it is not programmed. */
  readonly bindings: ReadonlyMap<IpAddress, EndpointBinding>;
  /** All addresses of the node itself. */
  readonly nodeAddresses: readonly IpAddress[];
  /** sysctl nf_conntrack_tcp_be_liberal is 1: INVALID must not be dropped. */
  readonly conntrackLiberal: boolean;
}
