/** Who can talk to whom, by the tracer: every ordered pair of pods that have an address, or of whoever is named. */
import type { Pod, Protocol } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import { dnsAnswer } from '../cluster/service-names.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Answer } from './investigate.ts';
import { isAllowed } from './investigate.ts';
import type { Party } from './names.ts';
import { nameOfParty } from './names.ts';
import { resolveQuestion } from './question.ts';

export interface MatrixPort {
  readonly port: number;
  readonly protocol: Protocol;
}

export interface MatrixOptions {
  /** Absent: every port that the destination names; of a node the nodePorts. */
  readonly ports?: readonly MatrixPort[];
  /** Absent: all pods. A Service begins no connection. */
  readonly from?: readonly (Pod | Party)[];
  readonly to?: readonly (Pod | Party)[];
  /** Only pods of this namespace, on both sides. */
  readonly namespace?: string;
  /** To ask about; absent: each destination's first that both ends have. */
  readonly family?: IpFamily;
}

export interface MatrixRow {
  /** `namespace/pod`, or as `nameOfParty` writes others. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly verdict: Answer;
}

/** Sorted by from, to, port, protocol, those that are no pods last; a pod's own way to itself included. */
export function matrix(model: ClusterModel, options: MatrixOptions = {}): readonly MatrixRow[] {
  const senders = partiesOf(model, options.from, options.namespace);
  const receivers = partiesOf(model, options.to, options.namespace).map((party) => ({
    party,
    ports: sortedPorts(options.ports ?? portsOf(model, party)),
  }));
  return senders.flatMap((from) => receivers.flatMap((to) => rowsOf(model, from, to, options.family)));
}

interface Receiver {
  readonly party: Party;
  readonly ports: readonly MatrixPort[];
}

function rowsOf(
  model: ClusterModel,
  from: Party,
  { party: to, ports }: Receiver,
  family: IpFamily | undefined,
): readonly MatrixRow[] {
  return ports.map(({ port, protocol }) => {
    const asked = { from, to: { party: to, port, protocol }, ...(family === undefined ? {} : { family }) };
    const resolved = resolveQuestion(model, asked);
    const allowed = resolved.kind === 'connections' && resolved.connections.every((one) => isAllowed(model, one));
    return { from: nameOfParty(from), to: nameOfParty(to), port, protocol, verdict: allowed ? 'allowed' : 'denied' };
  });
}

/** Where somebody answers, as far as objects tell. */
function portsOf(model: ClusterModel, party: Party): readonly MatrixPort[] {
  switch (party.kind) {
    case 'pod':
      return party.pod.ports;
    case 'service':
      // Of an ExternalName those of the Service that it stands for.
      return dnsAnswer(model.state, party.service).services.at(-1)?.ports ?? [];
    case 'node':
      return nodePortsOf(model);
    case 'address': {
      const owner = model.ownerOf(party.address);
      return owner === undefined ? [] : portsOf(model, owner);
    }
    default:
      return [];
  }
}

function nodePortsOf({ state }: ClusterModel): readonly MatrixPort[] {
  const ports = [...state.services.values()].flatMap((service) => service.ports);
  return ports.flatMap(({ nodePort, protocol }) => (nodePort === 0 ? [] : [{ port: nodePort, protocol }]));
}

function partiesOf(
  model: ClusterModel,
  chosen: MatrixOptions['from'],
  namespace: string | undefined,
): readonly Party[] {
  const pods = chosen?.flatMap((one) => (one.kind === 'Pod' ? [one] : one.kind === 'pod' ? [one.pod] : []));
  const others = (chosen ?? []).filter((one) => one.kind !== 'Pod' && one.kind !== 'pod');
  return [
    ...podsOf(model, pods, namespace).map((pod) => ({ kind: 'pod', pod }) as const),
    ...others.sort((left, right) => compare(nameOfParty(left), nameOfParty(right))),
  ];
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
