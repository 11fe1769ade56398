/** What `ip -j` and `bridge -j` answer, cut to what is used. */
import { parseCidr, parseIp } from '../../lib/ip.ts';
import type { Cidr, IpAddress } from '../../lib/ip.ts';

export interface Link {
  readonly name: string;
  /** `veth`, `bridge`, ...; empty for a physical one. */
  readonly kind: string;
  /** The bridge it is a port of. */
  readonly master: string | undefined;
  readonly hairpin: boolean;
}

export interface Route {
  readonly destination: Cidr;
  readonly device: string;
  /** It leads to another router, so not to a pod of this node. */
  readonly hasGateway: boolean;
}

export interface Neighbour {
  readonly address: IpAddress;
  readonly device: string;
  readonly mac: string;
}

/** One learned entry of a bridge's forwarding table. */
export interface ForwardingEntry {
  readonly mac: string;
  readonly port: string;
}

export interface Network {
  readonly links: readonly Link[];
  /** By which others reach this node; not loopback and link-local ones, which every node has. */
  readonly addresses: readonly IpAddress[];
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
}

/** Lines of `ip -j -d -batch -` that `parseNetwork` reads the answer of. `table all` is the one way to routes of both families. */
export const networkQuestions = 'address show\nroute show table all\nneigh show\n';

/** Each question is answered by a list in a line of its own, or by nothing: what an entry is shows in itself. */
export function parseNetwork(answer: string): Network {
  const entries = answer.split('\n').flatMap(records);
  const links = entries.filter((entry) => 'ifindex' in entry);
  const [neighbours, routes] = [entries.filter(isNeighbour), entries.filter((entry) => isMainRoute(entry))];
  return {
    links: parseLinks(links),
    addresses: parseAddresses(links),
    routes: parseRoutes(routes),
    neighbours: parseNeighbours(neighbours),
  };
}

type Entry = Readonly<Record<string, unknown>>;

/** Of `ip -j neigh show`, where routes have no state. */
function isNeighbour(entry: Entry): boolean {
  return 'dst' in entry && 'state' in entry;
}

/** What `ip route show` would print: neither the local table nor what policy routing asks. */
function isMainRoute(entry: Entry): boolean {
  return 'dst' in entry && !('state' in entry) && (text(entry, 'table') ?? 'main') === 'main';
}

/** `ip -j -d link show`, and `address show` too. */
export function parseLinks(answer: string | readonly Entry[]): readonly Link[] {
  return records(answer).flatMap((link) => {
    const name = text(link, 'ifname');
    if (name === undefined) return [];
    const info = record(link['linkinfo']);
    const slave = record(info['info_slave_data']);
    return [
      { name, kind: text(info, 'info_kind') ?? '', master: text(link, 'master'), hairpin: slave['hairpin'] === true },
    ];
  });
}

function parseRoutes(entries: readonly Entry[]): readonly Route[] {
  return entries.flatMap((route) => {
    const destination = parseDestination(text(route, 'dst') ?? '');
    const device = text(route, 'dev');
    if (destination === undefined || device === undefined) return [];
    return [{ destination, device, hasGateway: 'gateway' in route || 'via' in route }];
  });
}

function parseAddresses(links: readonly Entry[]): readonly IpAddress[] {
  return links
    .flatMap((link) => records(link['addr_info']))
    .filter((info) => text(info, 'scope') === 'global')
    .flatMap((info) => parseIp(text(info, 'local') ?? '') ?? []);
}

/** Those whose MAC is known. */
function parseNeighbours(entries: readonly Entry[]): readonly Neighbour[] {
  return entries.flatMap((neighbour) => {
    const address = parseIp(text(neighbour, 'dst') ?? '');
    const device = text(neighbour, 'dev');
    const mac = text(neighbour, 'lladdr');
    const states = neighbour['state'];
    const isFailed = Array.isArray(states) && states.includes('FAILED');
    return address === undefined || device === undefined || mac === undefined || isFailed
      ? []
      : [{ address, device, mac }];
  });
}

/** `bridge -j fdb show br BRIDGE`: where a MAC was seen; a port's own address is no sight of a pod. */
export function parseForwarding(json: string): readonly ForwardingEntry[] {
  return records(json).flatMap((entry) => {
    const mac = text(entry, 'mac');
    const port = text(entry, 'ifname');
    const isLearned = text(entry, 'master') !== undefined && text(entry, 'state') !== 'permanent';
    return mac === undefined || port === undefined || !isLearned ? [] : [{ mac, port }];
  });
}

function parseDestination(destination: string): Cidr | undefined {
  if (destination.includes('/')) return parseCidr(destination);
  const suffix = destination.includes(':') ? '/128' : '/32';
  return parseCidr(`${destination}${suffix}`);
}

/** No answer at all is an empty list. */
function records(json: unknown): readonly Readonly<Record<string, unknown>>[] {
  const value: unknown = typeof json === 'string' ? JSON.parse(json.trim() === '' ? '[]' : json) : json;
  return Array.isArray(value) ? value.map(record) : [];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function text(from: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = from[key];
  return typeof value === 'string' ? value : undefined;
}
