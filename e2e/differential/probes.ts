/** The questions that are asked of both nodes: every client, every frontend, and some places that are no frontend. */
import type { IpFamily } from '../../src/lib/ip.ts';
import type { ApiProtocol, ApiService, ServiceCase, TestCluster } from './api-objects.ts';
import {
  clientPod,
  families,
  farAddresses,
  gateway,
  localPods,
  nodeAddresses,
  outsideAddresses,
  remotePods,
} from './topology.ts';

/** `client`: a pod that only asks; `server`: one that is an endpoint too; `remote`: a pod of another node. */
export type ClientKind = 'client' | 'server' | 'remote' | 'node' | 'outside' | 'far';

export interface Probe {
  /** Which Service it is about. */
  readonly service: string;
  readonly from: ClientKind;
  readonly family: IpFamily;
  /** What is asked for: `clusterIP`, `nodePort on the gateway`. */
  readonly what: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: ApiProtocol;
  /** The client was here before: every endpoint remembers it. */
  readonly isKnown?: true;
}

const clients: readonly ClientKind[] = ['client', 'server', 'remote', 'node', 'outside', 'far'];

export function probesOf(cluster: TestCluster): readonly Probe[] {
  return cluster.cases.flatMap(probesOfCase);
}

export function sourceOf(from: ClientKind, family: IpFamily): string {
  const addresses = {
    client: clientPod.addresses,
    server: localPods[0]?.addresses ?? clientPod.addresses,
    remote: remotePods[0]?.addresses ?? farAddresses,
    node: nodeAddresses,
    outside: outsideAddresses,
    far: farAddresses,
  };
  return addresses[from][family];
}

/** One line for people. */
export function describeProbe({ service, from, what, to, port, protocol, isKnown }: Probe): string {
  const address = to.includes(':') ? `[${to}]` : to;
  return `${service}: ${from} -> ${what} ${address}:${port}/${protocol}${isKnown === true ? ', a client known from before' : ''}`;
}

function probesOfCase({ service }: ServiceCase): readonly Probe[] {
  const targets = targetsOf(service);
  return targets.flatMap((target) =>
    clients.filter((from) => canAsk(from, target)).flatMap((from) => ask(from, target)),
  );
}

type Target = Omit<Probe, 'from' | 'isKnown'> & { readonly hasAffinity: boolean };

function ask(from: ClientKind, { hasAffinity, ...target }: Target): readonly Probe[] {
  const probe = { ...target, from };
  return hasAffinity && (from === 'client' || from === 'outside') ? [probe, { ...probe, isKnown: true }] : [probe];
}

/** Nobody but the node itself can send to its loopback. */
function canAsk(from: ClientKind, { to }: Target): boolean {
  return from === 'node' || (to !== '::1' && !to.startsWith('127.'));
}

function targetsOf(service: ApiService): readonly Target[] {
  const { spec, metadata, status } = service;
  const hasAffinity = spec.sessionAffinity === 'ClientIP';
  const base = { service: metadata.name, hasAffinity };
  const ingress = status?.loadBalancer.ingress ?? [];
  const outer = [
    ...(spec.clusterIPs ?? []).filter((ip) => ip !== 'None').map((to) => ['clusterIP', to] as const),
    ...(spec.externalIPs ?? []).map((to) => ['external IP', to] as const),
    ...ingress.flatMap(({ ip, ipMode = 'none' }) =>
      ip === undefined ? [] : [[`load balancer IP (mode ${ipMode})`, ip] as const],
    ),
  ];
  const atAddresses = outer.flatMap(([what, to]) =>
    portsAndOthers(service).map(
      ({ port, protocol, note }): Target => ({
        ...base,
        what: `${what}${note}`,
        family: familyOfText(to),
        to,
        port,
        protocol,
      }),
    ),
  );
  return [...atAddresses, ...nodePortTargets(service, base), ...healthTargets(service, base)];
}

/** Each port, and next to the first one: its number by another protocol, and the next number. */
function portsAndOthers({ spec }: ApiService) {
  const own = (spec.ports ?? []).map(({ port, protocol }) => ({ port, protocol, note: '' }));
  const [first] = own;
  if (first === undefined) return [];
  const other: ApiProtocol = first.protocol === 'TCP' ? 'UDP' : 'TCP';
  return [
    ...own,
    { port: first.port, protocol: other, note: ', another protocol' },
    { port: first.port - 1, protocol: first.protocol, note: ', another port' },
  ];
}

type Base = Pick<Target, 'service' | 'hasAffinity'>;

function nodePortTargets({ spec }: ApiService, base: Base): readonly Target[] {
  const ports = (spec.ports ?? []).filter(({ nodePort }) => nodePort !== undefined);
  return ports.flatMap(({ nodePort = 0, protocol }) =>
    families.flatMap((family) =>
      placesOf(family).map(([what, to]): Target => ({ ...base, what, family, to, port: nodePort, protocol })),
    ),
  );
}

function placesOf(family: IpFamily): readonly (readonly [what: string, to: string])[] {
  return [
    ['nodePort', nodeAddresses[family]],
    ['nodePort on the gateway', gateway[family]],
    ['nodePort on localhost', family === 'ipv4' ? '127.0.0.1' : '::1'],
    // Of another machine: no business of this node's.
    ['nodePort elsewhere', outsideAddresses[family]],
  ];
}

function healthTargets({ spec }: ApiService, base: Base): readonly Target[] {
  const { healthCheckNodePort } = spec;
  if (healthCheckNodePort === undefined) return [];
  return families.map((family) => ({
    ...base,
    what: 'health check',
    family,
    to: nodeAddresses[family],
    port: healthCheckNodePort,
    protocol: 'TCP',
  }));
}

function familyOfText(address: string): IpFamily {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
