/** What is allowed and probably not meant: warnings about policies and Services that do not do what they seem to. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { Cidr } from '../lib/ip.ts';
import { cidrContains, formatCidr } from '../lib/ip.ts';
import { lintDns } from './lint-dns.ts';
import { lintNamedPorts } from './lint-named-ports.ts';
import { peersOf, PodsOfCluster, warn } from './lint-lookup.ts';
import { lintServices } from './lint-services.ts';
import type { NetworkPolicy, PolicyPeer } from './objects.ts';
import { describeObject, keyOf } from './objects.ts';
import { isEmptySelector } from './selector.ts';
import type { ClusterState } from './state.ts';

export interface LintRanges {
  readonly podCidrs: readonly Cidr[];
  readonly serviceCidrs: readonly Cidr[];
}

const nothingRefused: ReadonlySet<string> = new Set();

/**
 * `ranges`: those that hold where no ServiceCIDR is stated. `refused`: objects (`Kind namespace/name`) that are not in the state because
 * they are wrong, which is said elsewhere. Sorted by object. From scratch every time: for commands and status, not for every change.
 */
export function lintCluster(
  state: ClusterState,
  { podCidrs, serviceCidrs }: LintRanges,
  refused = nothingRefused,
): readonly Diagnostic[] {
  const stated = [...state.serviceCidrs.values()].flatMap(({ cidrs }) => cidrs);
  const ranges = { podCidrs, serviceCidrs: stated.length > 0 ? stated : serviceCidrs };
  const pods = new PodsOfCluster(state);
  const policies = [...state.networkPolicies.values()].toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  return [
    ...policies.flatMap((policy) => [
      ...lintSelection(policy, pods),
      ...peersOf(policy).flatMap((peer) => lintPeer(policy, peer, { pods, ranges })),
      ...lintNamedPorts(policy, pods),
    ]),
    ...lintDns(policies, pods),
    ...lintServices(state, { pods, serviceCidrs: stated, refused }),
  ];
}

function lintSelection(policy: NetworkPolicy, pods: PodsOfCluster): readonly Diagnostic[] {
  const { namespace, podSelector } = policy;
  const path = 'spec.podSelector';
  const selected = pods.inNamespace(namespace, podSelector);
  if (selected.length === 0) return [warn(policy, path, `selects no pod of namespace ${namespace}`)];
  const onHost = selected.filter((pod) => pod.hostNetwork).map(describeObject);
  if (onHost.length === 0 || isEmptySelector(podSelector)) return [];
  return [warn(policy, path, `selects ${listed(onHost)}, with hostNetwork: no policy applies to it`)];
}

function lintPeer(
  policy: NetworkPolicy,
  peer: PolicyPeer,
  cluster: { readonly pods: PodsOfCluster; readonly ranges: LintRanges },
): readonly Diagnostic[] {
  if (peer.kind === 'ipBlock') return lintBlock(policy, peer, cluster.ranges);
  const { namespaceSelector, podSelector, path } = peer;
  if (namespaceSelector !== undefined && cluster.pods.namespaces(namespaceSelector).length === 0) {
    return [warn(policy, `${path}.namespaceSelector`, 'matches no namespace')];
  }
  const matched = cluster.pods.ofPeer(policy, peer);
  const place = podSelector === undefined ? `${path}.namespaceSelector` : `${path}.podSelector`;
  if (matched.length === 0) return [warn(policy, place, 'matches no pod')];
  const onHost = matched.filter((pod) => pod.hostNetwork).map(describeObject);
  const isMeant = podSelector !== undefined && !isEmptySelector(podSelector);
  if (onHost.length === 0 || (!isMeant && onHost.length < matched.length)) return [];
  const message = `matches ${listed(onHost)}, with hostNetwork: its packets come from the node's address and match no pod peer`;
  return [warn(policy, place, message)];
}

/** Packets to a Service have its pod's address when they reach a policy, and pods come and go with theirs. */
function lintBlock(
  policy: NetworkPolicy,
  block: Extract<PolicyPeer, { kind: 'ipBlock' }>,
  ranges: LintRanges,
): readonly Diagnostic[] {
  const { cidr, except, path } = block;
  const isCovered = (range: Cidr) => overlaps(cidr, range) && !except.some((one) => contains(one, range));
  const place = `${path}.ipBlock.cidr`;
  const found: Diagnostic[] = [];
  for (const range of ranges.podCidrs.filter(isCovered)) {
    found.push(
      warn(
        policy,
        place,
        `${formatCidr(cidr)} overlaps the pod CIDR ${formatCidr(range)}: it matches pods, whoever they are`,
      ),
    );
  }
  for (const range of ranges.serviceCidrs.filter(isCovered)) {
    const message = `${formatCidr(cidr)} overlaps the Service CIDR ${formatCidr(range)}: policies see the address of the pod behind a Service`;
    found.push(warn(policy, place, message));
  }
  return found;
}

function overlaps(left: Cidr, right: Cidr): boolean {
  return cidrContains(left, right.address) || cidrContains(right, left.address);
}

function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.address);
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
