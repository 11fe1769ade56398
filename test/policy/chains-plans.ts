/** Hand-made plans: what a test needs of a policy and no more. */
import type { NetworkPolicy, Pod } from '../../src/cluster/objects.ts';
import type { ActivePolicy, PlannedRule } from '../../src/policy/plan.ts';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../src/lib/ip.ts';

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`not a CIDR: ${text}`);
  return parsed;
}

export function ip(text: string): IpAddress {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`not an address: ${text}`);
  return parsed;
}

export function networkPolicy(namespace: string, name: string): NetworkPolicy {
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

export function pod(key: string, addresses: readonly string[], parts: Partial<Pod> = {}): Pod {
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'Pod',
    namespace,
    name,
    labels: {},
    serviceAccount: 'default',
    nodeName: 'node-1',
    hostNetwork: false,
    ips: addresses.map(ip),
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: [],
    allowedSources: [],
    ...parts,
  };
}
