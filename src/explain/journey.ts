/** The first packet of a connection on its way through every node it meets; each node has a conntrack of its own. */
import type { Pod, Protocol, Service } from '../cluster/objects.ts';
import { entryNodes } from '../cluster/service-names.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { Choices } from '../dataplane/trace/branches.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import { packetOf } from '../dataplane/trace/packet.ts';
import type { Trace, TraceStep } from '../dataplane/trace/step.ts';
import type { IpAddress } from '../lib/ip.ts';
import type { ClusterModel, NodeModel } from './cluster-model.ts';
import { uplinkName } from './cluster-model.ts';

/** Who begins the connection. */
export type Origin =
  | { readonly kind: 'pod'; readonly pod: Pod; readonly node: string; readonly address: IpAddress }
  /** A program of the node, or of a pod with hostNetwork. */
  | { readonly kind: 'node'; readonly node: string; readonly address: IpAddress }
  | { readonly kind: 'outside'; readonly address: IpAddress };

export interface Connection {
  readonly from: Origin;
  readonly to: IpAddress;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface JourneyOptions {
  readonly choices?: Choices;
  readonly recent?: ReadonlySet<string>;
  readonly record?: boolean;
}

/** The packet at one node. */
export interface Hop {
  readonly node: string;
  readonly trace: Trace;
}

export type Outcome =
  | { readonly kind: 'delivered'; readonly to: Place; readonly packet: Packet }
  | { readonly kind: 'refused'; readonly how: 'drop' | 'reject'; readonly node: string; readonly packet: Packet }
  /** Nobody is at the packet's destination; `nodePort`: the node is, but does not serve that Service there. */
  | { readonly kind: 'lost'; readonly packet: Packet; readonly nodePort?: Service };

export type Place =
  | { readonly kind: 'pod'; readonly pod: Pod; readonly node: string }
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'outside' }
  /** The address is the pod's own: the packet never left it. */
  | { readonly kind: 'itself'; readonly pod: Pod };

export interface Journey {
  readonly hops: readonly Hop[];
  readonly outcome: Outcome;
}

/** A packet that still goes from node to node after so many is in a loop. */
const longestJourney = 8;

/** Follows the first packet of `connection` until it is delivered, refused or lost. */
export function travel(model: ClusterModel, connection: Connection, options: JourneyOptions = {}): Journey {
  const { from } = connection;
  let packet = packetOf({
    source: from.address,
    destination: connection.to,
    protocol: transportOf(connection.protocol),
    destinationPort: connection.port,
    sourcePort: ephemeralPort,
  });
  if (from.kind === 'pod' && from.pod.ips.includes(connection.to)) {
    return { hops: [], outcome: { kind: 'delivered', to: { kind: 'itself', pod: from.pod }, packet } };
  }
  let name = from.kind === 'outside' ? entryNode(model, connection.to) : from.node;
  const hops: Hop[] = [];
  while (name !== undefined && hops.length < longestJourney) {
    const node = model.node(name);
    const trace = hops.length === 0 ? startAt(node, from, packet, options) : arriveAt(node, packet, options);
    hops.push({ node: name, trace });
    packet = trace.packet;
    const next = afterHop(model, node, trace, connection);
    if (typeof next !== 'string') return { hops, outcome: next };
    name = next;
  }
  return { hops, outcome: { kind: 'lost', packet } };
}

/** The last rule of a journey: what refused it. */
export function lastStep({ hops }: Journey): TraceStep | undefined {
  return hops.at(-1)?.trace.path.at(-1);
}

/** Where programs take their ports from (Linux: 32768 to 60999). */
const ephemeralPort = 40_000;

function transportOf(protocol: Protocol): 'tcp' | 'udp' | 'sctp' {
  return ({ TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const)[protocol];
}

/** A client outside sends pods' and nodes' addresses to their node, a Service's outer ones to the first that may get them; a ClusterIP means nothing there. */
function entryNode(model: ClusterModel, address: IpAddress): string | undefined {
  const owner = model.ownerOf(address);
  if (owner?.kind === 'pod') return owner.pod.nodeName;
  if (owner?.kind !== 'service') return model.nodeAt(address);
  return owner.service.clusterIps.includes(address) ? undefined : entryNodes(model.state, owner.service)[0];
}

function startAt(node: NodeModel, from: Origin, packet: Packet, options: JourneyOptions): Trace {
  if (from.kind === 'node') return node.tracer.send(packet, options);
  if (from.kind === 'outside') return arriveAt(node, packet, options);
  return node.tracer.receive({ ...packet, ...node.attachmentOf(from.pod, from.address) }, options);
}

/** From the wire: another node's marks, bridge ports and translations mean nothing here. */
function arriveAt(node: NodeModel, packet: Packet, options: JourneyOptions): Trace {
  const { outInterface: _out, outPort: _outPort, inPort: _inPort, ...wire } = packet;
  const fresh = { ...wire, mark: 0, isDnat: false, isSnat: false, inInterface: uplinkName };
  return node.tracer.receive(fresh, options);
}

/** The Service that has the packet's port as nodePort: nothing of the node's own is there. */
function nodePortOwner({ services }: ClusterState, { destinationPort, protocol }: Packet): Service | undefined {
  return [...services.values()].find(({ ports }) =>
    ports.some((one) => one.nodePort === destinationPort && one.protocol.toLowerCase() === protocol),
  );
}

/** The name of the next node, or how the journey ended. */
function afterHop(model: ClusterModel, node: NodeModel, trace: Trace, connection: Connection): string | Outcome {
  const { packet, verdict } = trace;
  if (verdict !== 'accept') return { kind: 'refused', how: verdict, node: node.name, packet };
  if (trace.exit === 'local') {
    const isAsked = packet.destination === connection.to && packet.destinationPort === connection.port;
    const nodePort = isAsked ? nodePortOwner(model.state, packet) : undefined;
    if (nodePort !== undefined) return { kind: 'lost', packet, nodePort };
    return { kind: 'delivered', to: { kind: 'node', node: node.name }, packet };
  }
  const owner = model.ownerOf(packet.destination);
  switch (owner?.kind) {
    case 'pod': {
      const home = owner.pod.nodeName;
      if (home === undefined) return { kind: 'lost', packet };
      return home === node.name ? { kind: 'delivered', to: { kind: 'pod', pod: owner.pod, node: home }, packet } : home;
    }
    case 'service':
      return { kind: 'lost', packet };
    default:
      return model.nodeAt(packet.destination) ?? unownedOutcome(model, packet);
  }
}

function unownedOutcome(model: ClusterModel, packet: Packet): Outcome {
  const { destination } = packet;
  return model.isInPodCidr(destination) || model.isInServiceCidr(destination)
    ? { kind: 'lost', packet }
    : { kind: 'delivered', to: { kind: 'outside' }, packet };
}
