/** The 36 policy cases recorded from Felix v3.28.5: the same Calico objects, active policies and set members. */
import { describe, expect, test } from 'vitest';
import { calicoNetworkPolicy } from '../../src/policy/calico-form.ts';
import { PolicyDecider } from '../../src/policy/decide.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import type { PolicyPlan } from '../../src/policy/plan.ts';
import type { RecordedCase } from './recorded-policies.ts';
import { readPolicy, recordedCases, recordedCluster } from './recorded-policies.ts';

/** Felix resolves an ingress rule's named port over all pods; ours over the policy's own, so the set has another name. */
const namedIngressPorts: readonly string[] = ['named-port-ingress', 'named-and-numeric-ports'];

function planOf(recorded: RecordedCase): PolicyPlan {
  const store = new ClusterStore();
  const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
  const objects: readonly ClusterObject[] = [...recordedCluster, ...recorded.k8sNetworkPolicies.map(readPolicy)];
  decider.apply(store.apply(objects.map((object) => ({ type: 'set', object }))));
  return decider.plan;
}

test('there are 36 cases', () => {
  expect(recordedCases).toHaveLength(36);
});

describe.each(recordedCases)('$name', (recorded) => {
  test('the Calico form', () => {
    const ours = recorded.k8sNetworkPolicies.map((policy) => calicoNetworkPolicy(readPolicy(policy)));
    expect(ours).toEqual(
      recorded.calicoV3Policies.map(({ name, namespace, order, selector, types, ingress, egress }) => ({
        apiVersion: 'projectcalico.org/v3',
        kind: 'NetworkPolicy',
        metadata: { name, namespace },
        spec: { order, selector, types, ...(ingress && { ingress }), ...(egress && { egress }) },
      })),
    );
  });

  test('the policies and profiles of default/db-0', () => {
    const endpoint = planOf(recorded).endpoints.get('default/db-0');
    const [tier] = recorded.endpointTiers ?? [];
    expect(endpoint?.ingress).toEqual(tier?.ingress_policies ?? []);
    expect(endpoint?.egress).toEqual(tier?.egress_policies ?? []);
    expect(endpoint?.profiles).toEqual(recorded.endpointProfileIDs);
  });

  test('the sets', () => {
    const isRenamed = namedIngressPorts.includes(recorded.name);
    const ours = [...planOf(recorded).ipSets.values()].map(({ name, type, members }) => ({
      ...(isRenamed ? {} : { name }),
      type,
      members: [...members].sort(),
    }));
    const theirs = (recorded.ipSets ?? []).map(({ v4Name, kernelType, members }) => ({
      ...(isRenamed ? {} : { name: v4Name }),
      type: kernelType,
      members: members.map((member) => member.replace(/\/32$/, '')).sort(),
    }));
    const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    expect(ours.sort(byText)).toEqual(theirs.sort(byText));
  });
});
