/** NetworkPolicies as calicoctl shows them: Calico's object for each Kubernetes one. */
import type { ClusterState } from '../../cluster/state.ts';
import { calicoNetworkPolicy } from '../../policy/calico-form.ts';
import type { ResourceTable } from './resource.ts';

export function networkPolicyTable(state: ClusterState): ResourceTable {
  const resources = [...state.networkPolicies.values()].map((policy) => {
    const object = calicoNetworkPolicy(policy);
    const { name, namespace } = object.metadata;
    const { order, selector } = object.spec;
    return { namespace, name, cells: [name], wideCells: [name, String(order), selector], object };
  });
  return {
    columns: ['NAME'],
    wideColumns: ['NAME', 'ORDER', 'SELECTOR'],
    resources,
    list: { apiVersion: 'projectcalico.org/v3', kind: 'NetworkPolicyList' },
  };
}
