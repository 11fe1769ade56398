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

/** `ip -j -d link show` */
export function parseLinks(json: string): readonly Link[] {
  return records(json).flatMap((link) => {
    const name = text(link, 'ifname');
    if (name === undefined) return [];
    const info = record(link['linkinfo']);
    const slave = record(info['info_slave_data']);
    return [
      { name, kind: text(info, 'info_kind') ?? '', master: text(link, 'master'), hairpin: slave['hairpin'] === true },
    ];
  });
}

/** `ip -j route show`, `ip -j -6 route show` */
export function parseRoutes(json: string): readonly Route[] {
  return records(json).flatMap((route) => {
    const destination = parseDestination(text(route, 'dst') ?? '');
    const device = text(route, 'dev');
    if (destination === undefined || device === undefined) return [];
    return [{ destination, device, hasGateway: 'gateway' in route || 'via' in route }];
  });
}

/** `ip -j address show`: addresses by which others reach this node; not loopback and link-local ones, which every node has. */
export function parseAddresses(json: string): readonly IpAddress[] {
  return records(json)
    .flatMap((link) => records(link['addr_info']))
    .filter((info) => text(info, 'scope') === 'global')
    .flatMap((info) => parseIp(text(info, 'local') ?? '') ?? []);
}

/** `ip -j neigh show`: those whose MAC is known. */
export function parseNeighbours(json: string): readonly Neighbour[] {
  return records(json).flatMap((neighbour) => {
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
