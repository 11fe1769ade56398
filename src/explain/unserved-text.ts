/** Why an address or port of a Service is not served where a packet met it, in words. */
import type { Protocol, Service } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import type { IpAddress } from '../lib/ip.ts';
import { cidrContains, familyName, familyOf, joinHostPort } from '../lib/ip.ts';
import { proxyNameLabel } from '../service/decide.ts';
import { loopbackOf } from '../service/nodeport-addresses.ts';

/** A packet to an address of `service` that no rule took. */
export function unservedText(service: Service, { destination, destinationPort }: Packet, protocol: Protocol): string {
  const name = `Service ${keyOf(service)}`;
  if (proxyNameLabel in service.labels) return `${name} is ${othersText(service)}`;
  const family = familyOf(destination);
  if (!service.clusterIps.some((address) => familyOf(address) === family))
    return `${destination} is not served: ${name} has no ${familyName(family)} address of its own`;
  const port = `${destinationPort ?? ''}/${protocol}`;
  const known = service.ports.map((served) => `${served.port}/${served.protocol}`);
  if (known.includes(port)) return `${name} is not served at ${destination}: \`sluice get service -o yaml\` says why`;
  return `${name} has no port ${port} at ${destination}: its ports are ${known.length === 0 ? 'none' : known.join(', ')}`;
}

/** Of an address that a load balancer keeps for itself; undefined: it is none. */
export function balancerText(state: ClusterState, address: IpAddress): string | undefined {
  const service = [...state.services.values()].find(({ loadBalancerIngress }) =>
    loadBalancerIngress.some(({ ip, ipMode }) => ip === address && ipMode === 'Proxy'),
  );
  if (service === undefined) return undefined;
  return `${address} is the load balancer of Service ${keyOf(service)} itself (ipMode Proxy): nodes have no rules for it${nodePortsText(service)}`;
}

/** Empty where nobody asks. */
function nodePortsText({ ports }: Service): string {
  const nodePorts = ports.flatMap(({ nodePort }) => (nodePort === 0 ? [] : [`node/NAME:${nodePort}`]));
  return nodePorts.length === 0 ? '' : `, it sends to ${nodePorts.join(', ')}`;
}

/** A nodePort of `service` that no rule took. */
export function unservedNodePortText(service: Service, { destination, destinationPort = 0 }: Packet): string {
  const place = joinHostPort(destination, destinationPort);
  return `${place} is not served, though Service ${keyOf(service)} has that nodePort: ${whyNoNodePort(service, destination)}`;
}

/** Of a port of a node's own; undefined: no health check is there. */
export function healthCheckText(state: ClusterState, { destinationPort, protocol }: Packet): string | undefined {
  if (protocol !== 'tcp') return undefined;
  const service = [...state.services.values()].find(
    ({ healthCheckNodePort }) => healthCheckNodePort === destinationPort,
  );
  return service === undefined ? undefined : `the health check of Service ${keyOf(service)} answers there`;
}

function whyNoNodePort(service: Service, address: IpAddress): string {
  if (proxyNameLabel in service.labels) return `the Service is ${othersText(service)}`;
  const family = familyOf(address);
  if (!service.clusterIps.some((one) => familyOf(one) === family))
    return `the Service has no ${familyName(family)} address`;
  if (cidrContains(loopbackOf(family), address)) return `nodePorts do not answer on ${address} here`;
  return 'nodePortAddresses leaves the address out';
}

function othersText({ labels }: Service): string {
  return `served by another proxy, "${labels[proxyNameLabel] ?? ''}" (its label ${proxyNameLabel})`;
}
