/** Short ways to write Services and slices, and to read what the service half makes of them. */
import type { Endpoint, EndpointPort, EndpointSlice, Node, Service, ServicePort } from '../../src/cluster/objects.ts';
import { type ClusterChange, ClusterStore } from '../../src/cluster/state.ts';
import { DataplaneStore } from '../../src/dataplane/dataplane.ts';
import { chainName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import { familyOf, type IpFamily } from '../../src/lib/ip.ts';
import type { ServiceOptions } from '../../src/service/options.ts';
import type { PlannedPort, PlannedService } from '../../src/service/plan.ts';
import { ServiceStage } from '../../src/service/stage.ts';
import { cidr, ip } from '../addresses.ts';

export { cidr, ip };

/** Node `here` of zone `zone-a`; pods live in 10.0.0.0/8 and fd00:10::/32. */
export const options: ServiceOptions = {
  nodeName: 'here',
  detector: { kind: 'clusterCidr', cidrs: [cidr('10.0.0.0/8'), cidr('fd00:10::/32')] },
  masqueradeAll: false,
  nodePortAddresses: [],
  localhostNodePorts: true,
  nodeAddresses: [ip('192.168.0.2'), ip('fd00:192::2')],
  conntrackLiberal: false,
};

export interface ServiceShape extends Partial<Omit<Service, 'clusterIps' | 'externalIps' | 'ports'>> {
  readonly clusterIps?: readonly string[];
  readonly externalIps?: readonly string[];
  readonly loadBalancerIps?: readonly string[];
  readonly ports?: readonly Partial<ServicePort>[];
}

/** `key` is `namespace/name`. A ClusterIP Service 172.30.0.41 with one unnamed port 80/TCP, unless told otherwise. */
export function service(key: string, shape: ServiceShape = {}): Service {
  const { clusterIps = ['172.30.0.41'], externalIps = [], loadBalancerIps = [], ports = [{}], ...rest } = shape;
  const [namespace = '', name = ''] = key.split('/');
  return {
    kind: 'Service',
    namespace,
    name,
    labels: {},
    type: 'ClusterIP',
    clusterIps: clusterIps.map(ip),
    headless: false,
    externalIps: externalIps.map(ip),
    loadBalancerIngress: loadBalancerIps.map((address) => ({ ip: ip(address), ipMode: 'VIP' })),
    loadBalancerSourceRanges: [],
    ports: ports.map((port) => ({ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0, ...port })),
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    ...rest,
  };
}

/** Ready, on `nodeName`. */
export function endpoint(address: string, nodeName = 'there', shape: Partial<Endpoint> = {}): Endpoint {
  return { ...onNoNode(address), nodeName, ...shape };
}

/** Ready, with an address and nothing else. */
export function onNoNode(address: string): Endpoint {
  return { addresses: [ip(address)], ready: true, serving: true, terminating: false, hintZones: [], hintNodes: [] };
}

export const notReady = { ready: false, serving: false };
export const servingTerminating = { ready: false, serving: true, terminating: true };
export const goneTerminating = { ready: false, serving: false, terminating: true };

export interface SliceShape extends Partial<EndpointSlice> {
  readonly suffix?: string;
}

/** A slice of Service `key`, port 80/TCP unless told otherwise. */
export function slice(key: string, endpoints: readonly Endpoint[], shape: SliceShape = {}): EndpointSlice {
  const { suffix = 'a', ...rest } = shape;
  const [namespace = '', name = ''] = key.split('/');
  const first = endpoints[0]?.addresses[0];
  return {
    kind: 'EndpointSlice',
    namespace,
    name: `${name}-${suffix}`,
    labels: {},
    service: name,
    addressType: first !== undefined && familyOf(first) === 'ipv6' ? 'IPv6' : 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port: 80 }],
    endpoints,
    ...rest,
  };
}

export function tcp(port: number, name = ''): EndpointPort {
  return { name, protocol: 'TCP', port };
}

export function node(zone?: string): Node {
  const labels = zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone };
  return { kind: 'Node', name: 'here', labels, addresses: [ip('192.168.0.2')], podCidrs: [] };
}

/** A node's service half over a life of changes. */
export class Bench {
  readonly store = new ClusterStore();
  readonly dataplane = new DataplaneStore();
  readonly stage: ServiceStage;
  diagnostics: readonly Diagnostic[] = [];
  /** Names of the chains that the last change touched. */
  touched: readonly string[] = [];

  constructor(
    overrides: Partial<ServiceOptions> = {},
    families: readonly IpFamily[] = ['ipv4', 'ipv6'],
    commentLimit?: number,
  ) {
    this.stage = new ServiceStage(this.store, { ...options, ...overrides }, families, commentLimit);
    const hooks = families.map((family) => ({ family, hooks: this.stage.hooks(family) }));
    this.dataplane.apply({ ipSets: [], chains: [], hooks });
  }

  set(...objects: readonly Extract<ClusterChange, { type: 'set' }>['object'][]): this {
    return this.apply(objects.map((object) => ({ type: 'set', object })));
  }

  /** `overrides` absent: the options stay as they are. */
  apply(changes: readonly ClusterChange[], overrides?: Partial<ServiceOptions>): this {
    const now = overrides === undefined ? undefined : { ...options, ...overrides };
    const { chains, diagnostics } = this.stage.apply(this.store.apply(changes), now);
    this.dataplane.apply({ ipSets: [], chains, hooks: [] });
    this.diagnostics = diagnostics;
    this.touched = chains.map(({ table, name }) => `${table} ${name}`);
    return this;
  }

  planned(key: string): PlannedService {
    const planned = this.stage.plan.services.get(key);
    if (planned === undefined) throw new Error(`no plan for ${key}`);
    return planned;
  }

  /** The first port of the family. */
  port(key: string, family: IpFamily = 'ipv4'): PlannedPort {
    const port = this.planned(key).ports.find((candidate) => candidate.family === family);
    if (port === undefined) throw new Error(`${key} has no ${family} port`);
    return port;
  }

  /** The chain's rules without `-A CHAIN`; empty also where there is none. */
  rules(table: TableName, chain: string, family: IpFamily = 'ipv4'): readonly string[] {
    const found = this.dataplane.tables[family].chains[table].get(chainName(chain));
    return found === undefined ? [] : renderChain(found).map((line) => line.slice(`-A ${chain} `.length));
  }

  chainNames(table: TableName, family: IpFamily = 'ipv4'): readonly string[] {
    return [...this.dataplane.tables[family].chains[table].keys()].sort();
  }

  /** Everything as text, chain by chain. */
  text(): Readonly<Record<string, readonly string[]>> {
    const entries: [string, readonly string[]][] = [];
    for (const family of ['ipv4', 'ipv6'] as const) {
      for (const table of ['nat', 'filter'] as const) {
        for (const name of this.chainNames(table, family)) {
          entries.push([`${family} ${table} ${name}`, this.rules(table, name, family)]);
        }
      }
    }
    return Object.fromEntries(entries);
  }
}

export function used(endpoints: PlannedPort['endpoints']): readonly string[] {
  return endpoints.map(({ address }) => address);
}
