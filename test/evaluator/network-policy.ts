/**
 * NetworkPolicy read straight from the API's words, one connection at a time. It is the judge of the compiler and the
 * tracer, so it shares nothing with them: no selector index, no sets, no rules. Slow and obvious on purpose.
 */
import type {
  Labels,
  LabelSelector,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  Protocol,
} from '../../src/cluster/objects.ts';
import type { ClusterState } from '../../src/cluster/state.ts';

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
export function evaluate(state: ClusterState, connection: Connection): { verdict: Verdict; why: string } {
  const { sourcePod, sourceNode, destinationPod, destinationIp } = connection;
  const sender = sourcePod !== undefined && isPoliced(sourcePod) ? sourcePod : undefined;
  const receiver = destinationPod !== undefined && isPoliced(destinationPod) ? destinationPod : undefined;
  if (sender?.ips.some((ip) => ip === destinationIp) === true)
    return { verdict: 'allowed', why: 'a pod reaches itself' };
  const refusal = refusedBy(state, sender, connection, 'egress');
  if (refusal !== undefined) return { verdict: 'denied', why: `egress isolated by ${refusal}` };
  if (sourceNode !== undefined && receiver?.nodeName === sourceNode) {
    return { verdict: 'allowed', why: 'a node reaches its own pods' };
  }
  const ingressRefusal = refusedBy(state, receiver, connection, 'ingress');
  if (ingressRefusal !== undefined) return { verdict: 'denied', why: `ingress isolated by ${ingressRefusal}` };
  return { verdict: 'allowed', why: 'no isolating policy refuses it' };
}

/** hostNetwork pods and finished pods are nobody to NetworkPolicy. */
export function isPoliced(pod: Pod): boolean {
  return !pod.hostNetwork && pod.phase !== 'Succeeded' && pod.phase !== 'Failed' && pod.ips.length > 0;
}

type Direction = 'ingress' | 'egress';

/** The names of the policies that isolate the pod when none of them allows the connection; undefined: not refused. */
function refusedBy(
  state: ClusterState,
  pod: Pod | undefined,
  connection: Connection,
  direction: Direction,
): string | undefined {
  if (pod === undefined) return undefined;
  const policies = [...state.networkPolicies.values()].filter((policy) => {
    const isolates = direction === 'ingress' ? policy.isolatesIngress : policy.isolatesEgress;
    return isolates && policy.namespace === pod.namespace && selects(policy.podSelector, pod.labels);
  });
  const peerIp = direction === 'ingress' ? connection.sourceIp : connection.destinationIp;
  const open = policies.some((policy) =>
    policy[direction].some(
      (rule) =>
        (rule.peers === undefined || rule.peers.some((peer) => isPeer(state, policy, peer, peerIp))) &&
        (rule.ports === undefined || rule.ports.some((port) => isPort(state, port, connection))),
    ),
  );
  if (open || policies.length === 0) return undefined;
  return policies.map((policy) => `${policy.namespace}/${policy.name}`).join(', ');
}

function isPeer(state: ClusterState, policy: NetworkPolicy, peer: PolicyPeer, ip: string): boolean {
  if (peer.kind === 'ipBlock') {
    if (!isInside(ip, peer.cidr.address, peer.cidr.prefixLength)) return false;
    return !peer.except.some((except) => isInside(ip, except.address, except.prefixLength));
  }
  return podsWith(state, ip).some((pod) => {
    if (peer.namespaceSelector === undefined) {
      if (pod.namespace !== policy.namespace) return false;
    } else if (!selects(peer.namespaceSelector, namespaceLabels(state, pod.namespace))) {
      return false;
    }
    return peer.podSelector === undefined || selects(peer.podSelector, pod.labels);
  });
}

function isPort(state: ClusterState, port: PolicyPort, connection: Connection): boolean {
  if (port.protocol !== connection.protocol) return false;
  if (port.kind === 'any') return true;
  if (port.kind === 'range') return connection.port >= port.first && connection.port <= port.last;
  return podsWith(state, connection.destinationIp).some((pod) =>
    pod.ports.some(
      (own) => own.name === port.name && own.protocol === connection.protocol && own.port === connection.port,
    ),
  );
}

function podsWith(state: ClusterState, ip: string): readonly Pod[] {
  return [...state.pods.values()].filter((pod) => isPoliced(pod) && pod.ips.some((own) => own === ip));
}

function namespaceLabels(state: ClusterState, name: string): Labels {
  return { ...state.namespaces.get(name)?.labels, 'kubernetes.io/metadata.name': name };
}

function selects(selector: LabelSelector, labels: Labels): boolean {
  const exact = Object.entries(selector.matchLabels).every(([key, value]) => labels[key] === value);
  return (
    exact &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      if (operator === 'In') return value !== undefined && values.includes(value);
      return value === undefined || !values.includes(value);
    })
  );
}

/** Bit by bit, so that it cannot share a mistake with lib/ip.ts. */
function isInside(ip: string, network: string, prefixLength: number): boolean {
  const left = bitsOfAddress(ip);
  const right = bitsOfAddress(network);
  return left.length === right.length && left.slice(0, prefixLength) === right.slice(0, prefixLength);
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
