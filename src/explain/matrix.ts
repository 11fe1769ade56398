/** Who can talk to whom: every ordered pair of pods that have an address, by the tracer. */
import type { Pod, Protocol } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Answer } from './investigate.ts';
import { isAllowed } from './investigate.ts';
import { hasEnded } from './names.ts';
import { resolveQuestion } from './question.ts';

export interface MatrixPort {
  readonly port: number;
  readonly protocol: Protocol;
}

export interface MatrixOptions {
  /** Absent: every container port of the destination. */
  readonly ports?: readonly MatrixPort[];
  /** Absent: all pods. */
  readonly from?: readonly Pod[];
  readonly to?: readonly Pod[];
  /** Only pods of this namespace, on both sides. */
  readonly namespace?: string;
}

export interface MatrixRow {
  /** `namespace/pod` */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly verdict: Answer;
}

/** Sorted by from, to, port, protocol; a pod's own way to itself included. */
export function matrix(model: ClusterModel, options: MatrixOptions = {}): readonly MatrixRow[] {
  const senders = podsOf(model, options.from, options.namespace);
  const receivers = podsOf(model, options.to, options.namespace).map((pod) => ({
    pod,
    ports: sortedPorts(options.ports ?? pod.ports),
  }));
  return senders.flatMap((from) => receivers.flatMap(({ pod, ports }) => rowsOf(model, from, pod, ports)));
}

function rowsOf(model: ClusterModel, from: Pod, to: Pod, ports: readonly MatrixPort[]): readonly MatrixRow[] {
  return ports.map(({ port, protocol }) => {
    const question = {
      from: { kind: 'pod', pod: from },
      to: { party: { kind: 'pod', pod: to }, port, protocol },
    } as const;
    const resolved = resolveQuestion(model, question);
    const allowed = resolved.kind === 'connections' && resolved.connections.every((one) => isAllowed(model, one));
    return { from: keyOf(from), to: keyOf(to), port, protocol, verdict: allowed ? 'allowed' : 'denied' };
  });
}

function podsOf(
  model: ClusterModel,
  chosen: readonly Pod[] | undefined,
  namespace: string | undefined,
): readonly Pod[] {
  const candidates = chosen ?? [...model.state.pods.values()];
  return candidates
    .filter((pod) => pod.ips.length > 0 && pod.nodeName !== undefined && !hasEnded(pod))
    .filter((pod) => namespace === undefined || pod.namespace === namespace)
    .sort((left, right) => compare(keyOf(left), keyOf(right)));
}

/** Each once: two containers may name the same port. */
function sortedPorts(ports: readonly MatrixPort[]): readonly MatrixPort[] {
  const distinct = new Map(ports.map(({ port, protocol }) => [`${port}/${protocol}`, { port, protocol }]));
  return [...distinct.values()].sort((left, right) => left.port - right.port || compare(left.protocol, right.protocol));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
