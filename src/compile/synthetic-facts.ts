/** What `render` and `explain` assume of a node that they cannot look at: every pod is routed through the veth that Calico would give it. */
import { keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { EndpointBinding, NodeFacts } from '../dataplane/endpoint-binding.ts';
import { vethName } from '../dataplane/names.ts';
import type { IpAddress } from '../lib/ip.ts';

export function syntheticFacts(state: ClusterState, nodeName: string): NodeFacts {
  const bindings = new Map<IpAddress, EndpointBinding>();
  // Of pods that share an address the one that `bindEndpoints` programs comes last, and its interface counts.
  const pods = [...state.pods.values()].sort(
    (left, right) => Number(right.terminating) - Number(left.terminating) || (keyOf(left) < keyOf(right) ? 1 : -1),
  );
  for (const pod of pods) {
    const isLocal =
      pod.nodeName === nodeName && !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
    if (!isLocal) continue;
    for (const address of pod.ips) {
      bindings.set(address, { kind: 'routed', interface: vethName(pod.namespace, pod.name) });
    }
  }
  return { bindings, nodeAddresses: state.nodes.get(nodeName)?.addresses ?? [], conntrackLiberal: false };
}
