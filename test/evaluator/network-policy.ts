/**
 * NetworkPolicy read straight from the API's words, one connection at a time. It is the judge of the reader, the compiler and
 * the tracer, so it shares nothing of policies with them: the policies are those of the YAML (api-policy.ts), and there is no
 * selector index, no set, no rule. Slow and obvious on purpose. Pods and namespaces it takes from the cluster's state: their
 * addresses are given there.
 */
import type { Labels, Pod, Protocol } from '../../src/cluster/objects.ts';
import type { ClusterState } from '../../src/cluster/state.ts';
import type { ApiPeer, ApiPolicy, ApiPort, ApiRule, ApiSelector } from './api-policy.ts';

/** Who is there, and what is written about them. */
export interface JudgedCluster {
  readonly state: Omit<ClusterState, 'networkPolicies'>;
  readonly policies: readonly ApiPolicy[];
}

export type Verdict = 'allowed' | 'denied';

/** One connection after Service translation: who talks to which address and port. */
export interface Connection {
  /** Address that the destination's node sees as source. */
  readonly sourceIp: string;
  /** The pod that sends, when a policed pod does. */
  readonly sourcePod?: Pod;
  /** Node on which the sender is, when it is a node itself. */
  readonly sourceNode?: string;
  readonly destinationIp: string;
  /** The pod that owns the address, when one does. */
  readonly destinationPod?: Pod;
  readonly protocol: Protocol;
  readonly port: number;
}

/** The verdict, and the sentence that justifies it. */
export function evaluate(cluster: JudgedCluster, connection: Connection): { verdict: Verdict; why: string } {
  const { sourcePod, sourceNode, destinationPod, destinationIp } = connection;
  const sender = sourcePod !== undefined && isPoliced(sourcePod) ? sourcePod : undefined;
  const receiver = destinationPod !== undefined && isPoliced(destinationPod) ? destinationPod : undefined;
  if (sender?.ips.some((ip) => ip === destinationIp) === true)
    return { verdict: 'allowed', why: 'a pod reaches itself' };
  const refusal = refusedBy(cluster, sender, connection, 'Egress');
  if (refusal !== undefined) return { verdict: 'denied', why: `egress isolated by ${refusal}` };
  if (sourceNode !== undefined && receiver?.nodeName === sourceNode) {
    return { verdict: 'allowed', why: 'a node reaches its own pods' };
  }
  const ingressRefusal = refusedBy(cluster, receiver, connection, 'Ingress');
  if (ingressRefusal !== undefined) return { verdict: 'denied', why: `ingress isolated by ${ingressRefusal}` };
  return { verdict: 'allowed', why: 'no isolating policy refuses it' };
}

/** hostNetwork pods and finished pods are nobody to NetworkPolicy. */
export function isPoliced(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed' && pod.ips.length > 0;
}

/** The names of the policies that isolate the pod when none of them allows the connection; undefined: not refused. */
function refusedBy(
  { state, policies }: JudgedCluster,
  pod: Pod | undefined,
  connection: Connection,
  direction: 'Ingress' | 'Egress',
): string | undefined {
  if (pod === undefined) return undefined;
  const isolating = policies.filter(
    (policy) =>
      policy.isolates.includes(direction) &&
      policy.namespace === pod.namespace &&
      selects(policy.podSelector, pod.labels),
  );
  const peerIp = direction === 'Ingress' ? connection.sourceIp : connection.destinationIp;
  const open = isolating.some((policy) =>
    (direction === 'Ingress' ? policy.ingress : policy.egress).some((rule) =>
      isAllowedBy(state, { policy, rule, peerIp }, connection),
    ),
  );
  if (open || isolating.length === 0) return undefined;
  return isolating.map((policy) => `${policy.namespace}/${policy.name}`).join(', ');
}

type State = JudgedCluster['state'];

/** "If this field is empty or missing, this rule matches all sources" (destinations, ports). */
function isAllowedBy(
  state: State,
  { policy, rule, peerIp }: { readonly policy: ApiPolicy; readonly rule: ApiRule; readonly peerIp: string },
  connection: Connection,
): boolean {
  const peers = rule.peers ?? [];
  const ports = rule.ports ?? [];
  return (
    (peers.length === 0 || peers.some((peer) => isPeer(state, policy, peer, peerIp))) &&
    (ports.length === 0 || ports.some((port) => isPort(state, port, connection)))
  );
}

function isPeer(state: State, policy: ApiPolicy, peer: ApiPeer, ip: string): boolean {
  if (peer.ipBlock != null) {
    const { cidr, except } = peer.ipBlock;
    return isInside(ip, cidr) && !(except ?? []).some((one) => isInside(ip, one));
  }
  return podsWith(state, ip).some((pod) => {
    // Without a namespaceSelector it is about the policy's own namespace; an empty one selects all.
    if (peer.namespaceSelector == null) {
      if (pod.namespace !== policy.namespace) return false;
    } else if (!selects(peer.namespaceSelector, namespaceLabels(state, pod.namespace))) {
      return false;
    }
    return peer.podSelector == null || selects(peer.podSelector, pod.labels);
  });
}

/** "If not specified, this field defaults to TCP"; a port that is not given is every port. */
function isPort(state: State, { protocol, port, endPort }: ApiPort, connection: Connection): boolean {
  if ((protocol ?? 'TCP') !== connection.protocol) return false;
  if (port == null) return true;
  if (typeof port === 'number') return connection.port >= port && connection.port <= (endPort ?? port);
  return podsWith(state, connection.destinationIp).some((pod) =>
    pod.ports.some((own) => own.name === port && own.protocol === connection.protocol && own.port === connection.port),
  );
}

function podsWith(state: State, ip: string): readonly Pod[] {
  return [...state.pods.values()].filter((pod) => isPoliced(pod) && pod.ips.some((own) => own === ip));
}

function namespaceLabels(state: State, name: string): Labels {
  return { ...state.namespaces.get(name)?.labels, 'kubernetes.io/metadata.name': name };
}

function selects({ matchLabels, matchExpressions }: ApiSelector, labels: Labels): boolean {
  const exact = Object.entries(matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    exact &&
    (matchExpressions ?? []).every(({ key, operator, values }) => {
      const value = labels[key];
      const isListed = value !== undefined && (values ?? []).includes(value);
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      return operator === 'In' ? isListed : !isListed;
    })
  );
}

/** Bit by bit, so that it cannot share a mistake with lib/ip.ts. */
function isInside(ip: string, cidr: string): boolean {
  const [network = '', length = ''] = cidr.split('/');
  const left = bitsOfAddress(ip);
  const right = bitsOfAddress(network);
  return left.length === right.length && left.slice(0, Number(length)) === right.slice(0, Number(length));
}

function bitsOfAddress(ip: string): string {
  if (!ip.includes(':'))
    return ip
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [head = '', tail] = ip.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...Array.from({ length: gap }, () => '0'), ...last];
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}
