/** What `render` and `explain` assume of a node that they cannot look at: every pod is routed through the veth that Calico would give it. */
import type { Pod } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { EndpointBinding, NodeFacts } from '../dataplane/endpoint-binding.ts';
import { vethName } from '../dataplane/names.ts';
import type { IpAddress } from '../lib/ip.ts';
import { gatewayOf } from '../lib/ip.ts';

/** `hasPodGateways`: the node has the first address of its pod networks, where its pods send to (labs, and CNIs with a bridge). */
export function syntheticFacts(
  state: ClusterState,
  nodeName: string,
  { hasPodGateways = false }: { readonly hasPodGateways?: boolean } = {},
): NodeFacts {
  const bindings = new Map<IpAddress, EndpointBinding>();
  // Of pods that share an address the one that `bindEndpoints` programs comes last, and its interface counts.
  const pods = [...state.pods.values()].sort(
    (left, right) => Number(right.terminating) - Number(left.terminating) || (keyOf(left) < keyOf(right) ? 1 : -1),
  );
  for (const pod of pods) {
    if (!isWired(pod, nodeName)) continue;
    for (const address of pod.ips) {
      bindings.set(address, { kind: 'routed', interface: vethName(pod.namespace, pod.name) });
    }
  }
  const { addresses = [], podCidrs = [] } = state.nodes.get(nodeName) ?? {};
  const gateways = hasPodGateways ? podCidrs.map(gatewayOf) : [];
  return { bindings, nodeAddresses: [...addresses, ...gateways], conntrackLiberal: false };
}

function isWired(pod: Pod, node: string): boolean {
  return pod.nodeName === node && !pod.hostNetwork && !hasEnded(pod);
}
