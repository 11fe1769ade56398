/** How a journey ended, in a sentence. */
import type { Pod, Service } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import type { TraceStep } from '../dataplane/trace/step.ts';
import type { IpAddress } from '../lib/ip.ts';
import { joinHostPort } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { InvestigatedBranch } from './investigate.ts';
import type { Connection, Journey, Place } from './journey.ts';
import { lastStep } from './journey.ts';
import { reasonText } from './step-text.ts';
import { balancerText, healthCheckText, unservedNodePortText, unservedText } from './unserved-text.ts';

export function outcomeText(model: ClusterModel, { journey, connection }: InvestigatedBranch): string {
  const { outcome } = journey;
  switch (outcome.kind) {
    case 'delivered':
      return deliveredText(model, outcome.to, outcome.packet);
    case 'refused': {
      const step = lastStep(journey);
      const where = `${outcome.how === 'drop' ? 'dropped' : 'rejected'} on node ${outcome.node}`;
      if (isUnallocated(step)) return `${lostText(model, outcome.packet, connection)}; ${where}`;
      const nobody = model.isNobodys(outcome.packet.destination) ? `${nobodyText(model, outcome.packet)}; ` : '';
      return `${nobody}${where}${step === undefined ? '' : `: ${reasonText(step)}`}`;
    }
    case 'lost':
      if (outcome.nodePort !== undefined) return unservedNodePortText(outcome.nodePort, outcome.packet);
      return lostText(model, outcome.packet, connection);
    default:
      return unreachable(outcome);
  }
}

/** Dropped as a ClusterIP that nobody serves: what is known of the address says more than the rule. */
function isUnallocated(step: TraceStep | undefined): boolean {
  return step?.kind === 'rule' && step.rule.origin.object?.startsWith('ServiceCIDR ') === true;
}

/** The node where the journey ended; undefined where it met none. */
export function lastNode({ hops }: Journey): string | undefined {
  return hops.at(-1)?.node;
}

/** `demo/db-0`, `node/a`, or the bare address. */
export function ownerText(model: ClusterModel, address: IpAddress): string {
  const owner = model.ownerOf(address);
  switch (owner?.kind) {
    case 'pod':
      return keyOf(owner.pod);
    case 'node':
      return `node/${owner.name}`;
    case 'service':
      return `svc/${keyOf(owner.service)}`;
    default:
      return model.outside.includes(address) ? 'outside' : address;
  }
}

/** Who answers for the node: a program of its own, or a pod that shares its addresses. */
function programText(state: ClusterState, node: string, { destinationPort, protocol }: Packet): string {
  const pod = [...state.pods.values()].find(
    ({ nodeName, hostNetwork, ports }) =>
      hostNetwork &&
      nodeName === node &&
      ports.some((one) => one.port === destinationPort && one.protocol.toLowerCase() === protocol),
  );
  return pod === undefined ? '' : ` (pod ${keyOf(pod)}, with hostNetwork)`;
}

function deliveredText({ state }: ClusterModel, to: Place, packet: Packet): string {
  const address = endpointText(packet);
  switch (to.kind) {
    case 'pod':
      return `delivered to pod ${keyOf(to.pod)} at ${address}, which sees the client as ${packet.source}`;
    case 'node':
      return `delivered to node ${to.node}${programText(state, to.node, packet)} at ${address}, which sees the client as ${packet.source}${after(healthCheckText(state, packet))}`;
    case 'outside':
      return `leaves the cluster for ${address}, which sees the client as ${packet.source}${after(balancerText(state, packet.destination))}`;
    case 'itself':
      return `${packet.destination} is the pod's own address: the packet never leaves it`;
    default:
      return unreachable(to);
  }
}

function after(text: string | undefined): string {
  return text === undefined ? '' : `; ${text}`;
}

function lostText(model: ClusterModel, packet: Packet, connection: Connection): string {
  const { destination } = packet;
  const owner = model.ownerOf(destination);
  if (owner?.kind === 'service') {
    if (connection.from.kind === 'outside' && owner.service.clusterIps.includes(destination)) {
      return `${destination} is the ClusterIP of Service ${keyOf(owner.service)}: outside the cluster nobody has a route to it${outerText(owner.service)}`;
    }
    return unservedText(owner.service, packet, connection.protocol);
  }
  return nobodyText(model, packet);
}

/** What a client outside may ask for. */
function outerText({ ports, externalIps, loadBalancerIngress }: Service): string {
  const addresses = [...externalIps, ...loadBalancerIngress.map(({ ip }) => ip)];
  const nodePorts = ports.filter(({ nodePort }) => nodePort !== 0).map(({ nodePort }) => `node/NAME:${nodePort}`);
  const places = [
    ...addresses.flatMap((address) => ports.map(({ port }) => joinHostPort(address, port))),
    ...nodePorts,
  ];
  return places.length === 0 ? '' : `; ask for ${places.join(' or ')}`;
}

function nobodyText(model: ClusterModel, { destination }: Packet): string {
  const ended = endedPod(model, destination);
  if (ended !== undefined) return `pod ${keyOf(ended)}, which had ${destination}, has ended (${ended.phase})`;
  const who = model.isInServiceCidr(destination) ? 'no Service' : 'nobody';
  return balancerText(model.state, destination) ?? `${who} has the address ${destination}`;
}

function endedPod(model: ClusterModel, address: IpAddress): Pod | undefined {
  return [...model.state.pods.values()].find((pod) => hasEnded(pod) && pod.ips.includes(address));
}

function endpointText({ destination, destinationPort }: Packet): string {
  return destinationPort === undefined ? destination : joinHostPort(destination, destinationPort);
}
