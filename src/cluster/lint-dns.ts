/** Pods whose egress is limited and that cannot ask for names. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { PodsOfCluster } from './lint-lookup.ts';
import { warn } from './lint-lookup.ts';
import type { NetworkPolicy, Pod, PolicyPeer, PolicyRule } from './objects.ts';
import { keyOf } from './objects.ts';
import { everything, matchesSelector } from './selector.ts';

const dnsPort = 53;
/** The cluster's DNS, as nearly every cluster labels it. */
const dnsNamespaceLabels = { 'kubernetes.io/metadata.name': 'kube-system' };
const dnsPodLabels = { 'k8s-app': 'kube-dns' };

/** One warning a policy, for the first pod of it to which no policy allows DNS. A policy that allows nothing at all is meant so. */
export function lintDns(policies: readonly NetworkPolicy[], pods: PodsOfCluster): readonly Diagnostic[] {
  const limiting = policies.filter((policy) => policy.isolatesEgress);
  const withDns = new Set<Pod>();
  for (const policy of limiting.filter(allowsDns)) {
    for (const pod of pods.inNamespace(policy.namespace, policy.podSelector)) withDns.add(pod);
  }
  return limiting.flatMap((policy) => {
    if (policy.egress.length === 0 || allowsDns(policy)) return [];
    const selected = pods.inNamespace(policy.namespace, policy.podSelector).filter((pod) => !pod.hostNetwork);
    const pod = selected.find((one) => !withDns.has(one));
    if (pod === undefined) return [];
    const message = `no policy allows Pod ${keyOf(pod)} to reach DNS (UDP 53): names will not resolve there`;
    return [warn(policy, 'spec.egress', message)];
  });
}

function allowsDns(policy: NetworkPolicy): boolean {
  return policy.egress.some((rule) => opensDns(policy, rule));
}

/** A rule that names the port is meant for DNS, whoever its peers are; one for every port opens it where its peers may be DNS. */
function opensDns(policy: NetworkPolicy, rule: PolicyRule): boolean {
  if (rule.ports === undefined) return rule.peers === undefined || rule.peers.some((peer) => mayBeDns(policy, peer));
  return rule.ports.some((port) => {
    if (port.protocol !== 'UDP') return false;
    return port.kind === 'range' ? port.first <= dnsPort && dnsPort <= port.last : true;
  });
}

function mayBeDns(policy: NetworkPolicy, peer: PolicyPeer): boolean {
  if (peer.kind === 'ipBlock') return true;
  const { namespaceSelector, podSelector = everything } = peer;
  const isThere =
    namespaceSelector === undefined
      ? policy.namespace === 'kube-system'
      : matchesSelector(namespaceSelector, dnsNamespaceLabels);
  return isThere && matchesSelector(podSelector, dnsPodLabels);
}
