/** The endpoints behind a service port, out of its EndpointSlices in every shape that the API allows (kube-proxy.md 5). */
import type { Endpoint, EndpointPort, EndpointSlice, Protocol } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { familyOf, type IpAddress, type IpFamily, joinHostPort } from '../lib/ip.ts';
import { problemAt } from './problem.ts';

/** Controllers put it on the slices of headless Services: nothing for a proxy to do. */
export const headlessLabel = 'service.kubernetes.io/headless';

/** An endpoint with one of its ports; the port's name and protocol are the key of the join. */
export interface SliceEndpoint {
  readonly address: IpAddress;
  readonly port: number;
  /** `address:port`, the key inside a service port. */
  readonly key: string;
  readonly endpoint: Endpoint;
}

/** `family port-name protocol` to the endpoints, sorted by key as text. */
export type EndpointsByPort = ReadonlyMap<string, readonly SliceEndpoint[]>;

export function portKey(family: IpFamily, name: string, protocol: Protocol): string {
  return `${family} ${name} ${protocol}`;
}

/** Joins all slices of one Service; an address and port that several slices name is one endpoint. */
export function collectEndpoints(slices: Iterable<EndpointSlice>): {
  readonly endpoints: EndpointsByPort;
  readonly diagnostics: readonly Diagnostic[];
} {
  const found = new Map<string, Map<string, SliceEndpoint>>();
  const diagnostics: Diagnostic[] = [];
  const sorted = [...slices].sort((one, other) => compareText(one.name, other.name));
  for (const slice of sorted) {
    if (slice.addressType === 'FQDN' || headlessLabel in slice.labels) continue;
    collectSlice(slice, found, diagnostics);
  }
  const endpoints = new Map<string, readonly SliceEndpoint[]>();
  for (const [key, byAddress] of found) {
    endpoints.set(
      key,
      [...byAddress.values()].sort((one, other) => compareText(one.key, other.key)),
    );
  }
  return { endpoints, diagnostics };
}

/** By code units, as Go sorts strings: `10.0.0.10:80` is before `10.0.0.2:80`. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function collectSlice(
  slice: EndpointSlice,
  found: Map<string, Map<string, SliceEndpoint>>,
  diagnostics: Diagnostic[],
): void {
  const family = slice.addressType === 'IPv6' ? 'ipv6' : 'ipv4';
  const addressed = usableEndpoints(slice, family, diagnostics);
  for (const [index, port] of slice.ports.entries()) {
    if (port.port === undefined || port.port === 0) continue;
    if (!isPort(port.port)) {
      diagnostics.push(problemAt(slice, `ports[${index}].port`, `${port.port} is no port, expected 1 to 65535`));
      continue;
    }
    addPort(addressed, { ...port, port: port.port }, mapOf(found, portKey(family, port.name, port.protocol)));
  }
}

/** Only the first address counts, as for kube-proxy: the others are not defined to be interchangeable. */
function usableEndpoints(
  slice: EndpointSlice,
  family: IpFamily,
  diagnostics: Diagnostic[],
): readonly (readonly [IpAddress, Endpoint])[] {
  const usable: [IpAddress, Endpoint][] = [];
  for (const [index, endpoint] of slice.endpoints.entries()) {
    const address = endpoint.addresses[0];
    if (address === undefined) continue;
    if (familyOf(address) === family) usable.push([address, endpoint]);
    else {
      const message = `${address} is not of the slice's addressType, expected an ${slice.addressType} address`;
      diagnostics.push(problemAt(slice, `endpoints[${index}].addresses[0]`, message));
    }
  }
  return usable;
}

function addPort(
  addressed: readonly (readonly [IpAddress, Endpoint])[],
  port: EndpointPort & { readonly port: number },
  byAddress: Map<string, SliceEndpoint>,
): void {
  for (const [address, endpoint] of addressed) {
    const key = joinHostPort(address, port.port);
    const before = byAddress.get(key);
    if (before !== undefined && rank(before.endpoint) <= rank(endpoint)) continue;
    byAddress.set(key, { address, port: port.port, key, endpoint });
  }
}

/** Of two copies the better one counts: an address that a network plugin gave to a new pod may still stand for the old one. */
function rank(endpoint: Endpoint): number {
  return (endpoint.terminating ? 4 : 0) + (endpoint.ready ? 0 : 2) + (endpoint.serving ? 0 : 1);
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

function mapOf<Value>(maps: Map<string, Map<string, Value>>, key: string): Map<string, Value> {
  const known = maps.get(key);
  if (known !== undefined) return known;
  const made = new Map<string, Value>();
  maps.set(key, made);
  return made;
}
