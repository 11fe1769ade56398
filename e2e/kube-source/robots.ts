/** Service accounts with what the chart allows an agent to read, or less. */
import type { ControlPlane } from '../cluster/control-plane.ts';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
}

const agentRules: readonly Rule[] = [
  { apiGroups: [''], resources: ['namespaces', 'nodes', 'pods', 'services'] },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'] },
  { apiGroups: ['networking.k8s.io'], resources: ['servicecidrs', 'networkpolicies'] },
];

export const withoutPolicies: readonly Rule[] = [
  ...agentRules.slice(0, 2),
  { apiGroups: ['networking.k8s.io'], resources: ['servicecidrs'] },
];

/** Makes the account where it is not there, and gives it `rules` in the place of those it had. */
export async function allowAgent(
  plane: ControlPlane,
  name: string,
  rules: readonly Rule[] = agentRules,
): Promise<void> {
  const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name };
  const objects = [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'kube-system' } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name },
      rules: rules.map((rule) => ({ ...rule, verbs: ['list', 'watch'] })),
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: role,
      subjects: [{ kind: 'ServiceAccount', name, namespace: 'kube-system' }],
    },
  ];
  await plane.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
}

export async function freshToken(plane: ControlPlane, name: string): Promise<string> {
  return (await plane.kubectl(['create', 'token', name, '-n', 'kube-system'])).trim();
}

/** One request of the account at a time, a 429 for the others (API priority and fairness: a level without any share). */
export async function throttle(plane: ControlPlane, account: string): Promise<void> {
  const objects = [
    {
      apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
      kind: 'PriorityLevelConfiguration',
      metadata: { name: account },
      spec: {
        type: 'Limited',
        limited: {
          nominalConcurrencyShares: 0,
          lendablePercent: 0,
          borrowingLimitPercent: 0,
          limitResponse: { type: 'Reject' },
        },
      },
    },
    {
      apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
      kind: 'FlowSchema',
      metadata: { name: account },
      spec: {
        matchingPrecedence: 50,
        priorityLevelConfiguration: { name: account },
        rules: [
          {
            subjects: [{ kind: 'ServiceAccount', serviceAccount: { name: account, namespace: 'kube-system' } }],
            resourceRules: [
              { verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] },
            ],
          },
        ],
      },
    },
  ];
  await plane.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  // The API server says so when it goes by it; after its etcd was gone that has taken longer than any fixed wait.
  await plane.kubectl(['wait', '--for=condition=Dangling=false', `flowschema/${account}`, '--timeout=120s']);
}
