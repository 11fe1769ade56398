/** Which way leads to a pod: the route says device or bridge, neighbour and forwarding table say which port of the bridge. */
import type { EndpointBinding } from '../../dataplane/endpoint-binding.ts';
import { bitsOf, cidrContains, familyOf } from '../../lib/ip.ts';
import type { IpAddress, IpFamily } from '../../lib/ip.ts';
import type { ForwardingEntry, Link, Neighbour, Route } from './ip-json.ts';

export interface NetworkView {
  readonly links: readonly Link[];
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
  /** By bridge. */
  readonly forwarding: ReadonlyMap<string, readonly ForwardingEntry[]>;
}

/** Device of the route to each address that leads straight to it: the pod's own device, or a bridge. */
export function findRoutes(
  addresses: readonly IpAddress[],
  { links, routes }: Pick<NetworkView, 'links' | 'routes'>,
): ReadonlyMap<IpAddress, Link> {
  const byName = new Map(links.map((link) => [link.name, link]));
  const longestFirst = routes.toSorted((left, right) => right.destination.prefixLength - left.destination.prefixLength);
  const found = new Map<IpAddress, Link>();
  for (const address of addresses) {
    const route = longestFirst.find(({ destination }) => cidrContains(destination, address));
    const link = byName.get(route?.device ?? '');
    if (route === undefined || link === undefined || route.hasGateway) continue;
    // A shorter route into anything but a bridge is a network of the node's, not a pod's.
    const isHostRoute = route.destination.prefixLength === bitsOf(familyOf(address));
    if (link.kind === 'bridge' || (isHostRoute && link.name !== 'lo')) found.set(address, link);
  }
  return found;
}

/**
 * Bindings of the addresses that have a way. A port once found is kept while it is a port of that bridge: forwarding entries of a
 * silent pod expire, and another pod that claims the address later must not get its place. Of two addresses of one family that a
 * port claims at the same time, neither gets it: one of them is borrowed.
 */
export function findBindings(
  addresses: readonly IpAddress[],
  view: NetworkView,
  known: ReadonlyMap<IpAddress, EndpointBinding> = new Map(),
): ReadonlyMap<IpAddress, EndpointBinding> {
  const routes = findRoutes(addresses, view);
  const ports = findPorts(routes, view, known);
  return new Map(
    [...routes].map(([address, link]): [IpAddress, EndpointBinding] => {
      if (link.kind !== 'bridge') return [address, { kind: 'routed', interface: link.name }];
      const port = ports.get(address);
      return [address, { kind: 'bridged', bridge: link.name, ...(port === undefined ? {} : { port }) }];
    }),
  );
}

function findPorts(
  routes: ReadonlyMap<IpAddress, Link>,
  view: NetworkView,
  known: ReadonlyMap<IpAddress, EndpointBinding>,
): ReadonlyMap<IpAddress, string> {
  const bridged = [...routes].filter(([, link]) => link.kind === 'bridge');
  const kept = bridged.flatMap(([address, bridge]) => {
    const port = keptPort(known.get(address), bridge.name, view);
    return port === undefined ? [] : [[address, port] as const];
  });
  const taken = new Set(kept.map(([address, port]) => claim(familyOf(address), port)));
  const ports = new Map(kept);
  for (const { claimants, port, key } of claims(bridged, view, new Map(kept))) {
    const [address, ...others] = claimants;
    if (address !== undefined && others.length === 0 && !taken.has(key)) ports.set(address, port);
  }
  return ports;
}

function keptPort(binding: EndpointBinding | undefined, bridge: string, view: NetworkView): string | undefined {
  if (binding?.kind !== 'bridged' || binding.bridge !== bridge || binding.port === undefined) return undefined;
  return isPortOf(binding.port, bridge, view) ? binding.port : undefined;
}

interface Claim {
  readonly key: string;
  readonly port: string;
  readonly claimants: IpAddress[];
}

/** Which addresses were seen at which port, as far as they have none yet. */
function claims(
  bridged: readonly (readonly [IpAddress, Link])[],
  view: NetworkView,
  kept: ReadonlyMap<IpAddress, string>,
): Iterable<Claim> {
  const found = new Map<string, Claim>();
  for (const [address, bridge] of bridged) {
    const port = kept.has(address) ? undefined : portOf(address, bridge.name, view);
    if (port === undefined) continue;
    const key = claim(familyOf(address), port);
    const claimed = found.get(key);
    if (claimed === undefined) found.set(key, { key, port, claimants: [address] });
    else claimed.claimants.push(address);
  }
  return found.values();
}

function portOf(address: IpAddress, bridge: string, view: NetworkView): string | undefined {
  const mac = view.neighbours.find((entry) => entry.address === address && entry.device === bridge)?.mac;
  const port = view.forwarding.get(bridge)?.find((entry) => entry.mac === mac)?.port;
  return port !== undefined && isPortOf(port, bridge, view) ? port : undefined;
}

function isPortOf(port: string, bridge: string, { links }: NetworkView): boolean {
  return links.some(({ name, master }) => name === port && master === bridge);
}

function claim(family: IpFamily, port: string): string {
  return `${family} ${port}`;
}
