/** A port name that means nothing, or not the same on every pod. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { PodsOfCluster } from './lint-lookup.ts';
import { warn } from './lint-lookup.ts';
import type { NetworkPolicy, Pod, PolicyPort, PolicyRule } from './objects.ts';

export function lintNamedPorts(policy: NetworkPolicy, pods: PodsOfCluster): readonly Diagnostic[] {
  const selected = pods.inNamespace(policy.namespace, policy.podSelector);
  return [
    ...policy.ingress.flatMap((rule) => lintRule(policy, rule, selected)),
    ...policy.egress.flatMap((rule) => lintRule(policy, rule, destinations(policy, rule, pods))),
  ];
}

function lintRule(policy: NetworkPolicy, rule: PolicyRule, targets: readonly Pod[]): readonly Diagnostic[] {
  const named = (rule.ports ?? []).filter((port) => port.kind === 'named');
  return named.flatMap((port) => lintPort(policy, port, targets));
}

/** Pods that there are none of have a warning of their own. */
function lintPort(
  policy: NetworkPolicy,
  port: Extract<PolicyPort, { kind: 'named' }>,
  targets: readonly Pod[],
): readonly Diagnostic[] {
  if (targets.length === 0) return [];
  const { name, protocol, path } = port;
  const matching = targets.flatMap((pod) => pod.ports.filter((one) => one.name === name && one.protocol === protocol));
  const numbers = [...new Set(matching.map((one) => one.port))].toSorted((left, right) => left - right);
  const place = `${path}.port`;
  if (numbers.length === 0)
    return [warn(policy, place, `no pod there has a ${protocol} port named ${name}, nothing is allowed`)];
  if (numbers.length === 1) return [];
  return [warn(policy, place, `${name} is ${numbers.join(', ')} on different pods`)];
}

function destinations(policy: NetworkPolicy, rule: PolicyRule, pods: PodsOfCluster): readonly Pod[] {
  if (rule.peers === undefined) return pods.all;
  return rule.peers.flatMap((peer) => (peer.kind === 'pods' ? pods.ofPeer(policy, peer) : []));
}
