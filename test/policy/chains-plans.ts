/** Hand-made plans: what a test needs of a policy and no more. */
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import type { ActivePolicy, PlannedRule } from '../../src/policy/plan.ts';
import { cidr } from '../addresses.ts';

export { cidr };

function networkPolicy(namespace: string, name: string): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace,
    name,
    podSelector: { matchLabels: {}, matchExpressions: [] },
    isolatesIngress: true,
    isolatesEgress: false,
    ingress: [],
    egress: [],
  };
}

export function activePolicy(
  id: string,
  rules: { readonly ingress?: readonly PlannedRule[]; readonly egress?: readonly PlannedRule[] },
): ActivePolicy {
  const [namespace = '', name = ''] = id.split('/knp.default.');
  return { id, policy: networkPolicy(namespace, name), ...rules };
}

/** An allow rule; absent parts mean everything. */
export function allow(parts: Partial<PlannedRule>): PlannedRule {
  return { peer: { kind: 'all' }, ports: { kind: 'all' }, origin: {}, ...parts };
}
