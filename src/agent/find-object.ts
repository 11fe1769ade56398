/** Objects by the name that messages give them. */
import type { ClusterObject } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';

/** `text`: `Kind namespace/name`, as `describeObject` writes it. Undefined: it is not there, or names something else. */
export function findObject(state: ClusterState, text: string): ClusterObject | undefined {
  const space = text.indexOf(' ');
  const indexes: Readonly<Record<string, ReadonlyMap<string, ClusterObject>>> = {
    Namespace: state.namespaces,
    Node: state.nodes,
    Pod: state.pods,
    NetworkPolicy: state.networkPolicies,
    Service: state.services,
    EndpointSlice: state.endpointSlices,
    ServiceCIDR: state.serviceCidrs,
  };
  return indexes[text.slice(0, space)]?.get(text.slice(space + 1));
}
