/**
 * Which tracked UDP flows of Services lead nowhere any more (kube-proxy.md 2.7). conntrack translates every datagram of
 * a flow as it did the first, for as long as the client keeps sending: to an endpoint that is gone, or, where there was
 * none at first, to the Service's own address, which nobody has.
 */
import type { IpAddress } from '../lib/ip.ts';
import { joinHostPort } from '../lib/ip.ts';
import { addressFrontend, nodePortFrontend } from './claims.ts';
import type { NodePortOptions } from './nodeport-addresses.ts';
import { nodePortAddressesOf } from './nodeport-addresses.ts';
import type { PlannedPort, PlannedService } from './plan.ts';

/** Where a client sends to, and where its datagrams go. */
export interface UdpFlow {
  readonly destination: IpAddress;
  readonly destinationPort: number;
  /** The source of the answers: the destination itself where nothing is translated. */
  readonly server: IpAddress;
  readonly serverPort: number;
}

/** Frontend to the endpoints that serve it, both as `address:port`. */
export type UdpFrontends = ReadonlyMap<string, ReadonlySet<string>>;

const noPorts: readonly PlannedPort[] = [];

export function udpPortsOf(planned: PlannedService | undefined): readonly PlannedPort[] {
  return planned?.ports.filter(({ protocol }) => protocol === 'UDP') ?? noPorts;
}

/** Of all ports. */
export function udpFrontends(ports: Iterable<PlannedPort>, node: NodePortOptions): UdpFrontends {
  const frontends = new Map<string, Set<string>>();
  for (const port of ports) {
    const servers = serversOf(port);
    for (const frontend of frontendsOf(port, node)) {
      frontends.set(frontend, new Set([...(frontends.get(frontend) ?? []), ...servers]));
    }
  }
  return frontends;
}

/** Whether a change may leave flows behind that lead nowhere; an endpoint more beside others leaves none. */
export function mayLeaveFlows(
  before: readonly PlannedPort[],
  after: readonly PlannedPort[],
  node: NodePortOptions,
): boolean {
  const [old, now] = [udpFrontends(before, node), udpFrontends(after, node)];
  const isNewOrFirst = ([frontend, servers]: readonly [string, ReadonlySet<string>]): boolean => {
    const known = old.get(frontend);
    return known === undefined || (known.size === 0 && servers.size > 0);
  };
  const hasLost = ([frontend, servers]: readonly [string, ReadonlySet<string>]): boolean =>
    ![...servers].every((server) => now.get(frontend)?.has(server) === true);
  return [...now].some(isNewOrFirst) || [...old].some((entry) => hasLost(entry) || !now.has(entry[0]));
}

/**
 * `former`: frontends of Services that are gone. What is translated there was translated by us, and is stale; what is
 * not belongs to whoever has the address.
 */
export function isStaleFlow(flow: UdpFlow, frontends: UdpFrontends, former: ReadonlySet<string>): boolean {
  const frontend = joinHostPort(flow.destination, flow.destinationPort);
  const server = joinHostPort(flow.server, flow.serverPort);
  const servers = frontends.get(frontend);
  if (servers !== undefined) return !servers.has(server);
  return former.has(frontend) && server !== frontend;
}

/** Traffic policies and topology do not count: a flow that got through stays with an endpoint that still serves. */
function serversOf({ endpoints }: PlannedPort): readonly string[] {
  return endpoints
    .filter(({ ready, serving }) => ready || serving)
    .map(({ address, port }) => joinHostPort(address, port));
}

/** A nodePort is one on the node's own addresses alone: the same number elsewhere is somebody else's. */
function frontendsOf(planned: PlannedPort, node: NodePortOptions): readonly string[] {
  const { clusterIp, externalIps, loadBalancerIps, protocol, port, nodePort, family, yielded } = planned;
  const hasNodePort = nodePort !== 0 && !yielded.has(nodePortFrontend(family, protocol, nodePort));
  const own = hasNodePort ? nodePortAddressesOf(node, family) : [];
  return [
    ...[clusterIp, ...externalIps, ...loadBalancerIps]
      .filter((address) => !yielded.has(addressFrontend(address, protocol, port)))
      .map((address) => joinHostPort(address, port)),
    ...own.map((address) => joinHostPort(address, nodePort)),
  ];
}
