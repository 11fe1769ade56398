/** A cluster from a seed: Services of every kind, at addresses and ports that no two of them share. */
import type { IpFamily } from '../../src/lib/ip.ts';
import { familyName } from '../../src/lib/ip.ts';
import type { ApiIngress, ApiProtocol, ApiService, ApiServicePort, ServiceCase, TestCluster } from './api-objects.ts';
import { generateSlices } from './generate-slices.ts';
import { Random } from './random.ts';
import {
  balancerPrefixes,
  clusterIpPrefixes,
  externalPrefixes,
  nodeAddresses,
  podCidrs,
  outsideCidrs,
  underlayCidrs,
  zones,
} from './topology.ts';

/** One Service that is alone tells more when it differs; forty make trees of the dispatch chains. */
export function generateCluster(seed: number): TestCluster {
  const random = new Random(seed);
  const size = random.weighted([
    [8, random.integer(1, 3)],
    [20, random.integer(4, 12)],
    [2, random.integer(40, 60)],
  ]);
  const draw: Draw = { random, seed, taken: new Set() };
  const zone = random.chance(0.25) ? undefined : random.pick(zones);
  const cases = Array.from({ length: size }, (_, index) => generateCase(draw, index));
  return { seed, cases, ...(zone === undefined ? {} : { zone }) };
}

/**
 * What the cluster was like before, for some seeds: the same Services with other endpoints and some other choices. What
 * changes is more than what is new. Undefined: nothing was there.
 */
export function formerCluster(cluster: TestCluster): TestCluster | undefined {
  const random = new Random(cluster.seed ^ 0x5f3759df);
  if (!random.chance(0.5)) return undefined;
  const zone = random.chance(0.5) ? cluster.zone : random.pick(zones);
  const cases = cluster.cases.flatMap(({ service }): ServiceCase | readonly [] => {
    // By its name: what a Service was like does not depend on the others, which may be left out.
    const own = new Random(cluster.seed * 1000 + Number(service.metadata.name.split('-')[1] ?? 0));
    if (own.chance(0.1)) return [];
    const former = formerService(own, service);
    return { service: former, slices: generateSlices(own, former) };
  });
  return { seed: cluster.seed, cases, ...(zone === undefined ? {} : { zone }) };
}

/** Only what may be changed of a Service that is there. */
function formerService(random: Random, service: ApiService): ApiService {
  const { externalIPs: _ips, loadBalancerSourceRanges: _ranges, ...rest } = service.spec;
  const spec = {
    ...(random.chance(0.4) && service.spec.externalTrafficPolicy === undefined ? rest : service.spec),
    ...(random.chance(0.3) ? { internalTrafficPolicy: random.pick(['Local', 'Cluster'] as const) } : {}),
    ...(random.chance(0.2) ? { sessionAffinity: 'ClientIP' as const, sessionAffinityConfig: oneHour } : {}),
  };
  if (service.spec.type === 'ExternalName') return service;
  const { status } = service;
  const ingress = status?.loadBalancer.ingress.slice(random.integer(0, 1)) ?? [];
  return { ...service, spec, ...(status === undefined ? {} : { status: { loadBalancer: { ingress } } }) };
}

const oneHour = { clientIP: { timeoutSeconds: 3600 } };

/** A cluster in the making. */
interface Draw {
  readonly random: Random;
  readonly seed: number;
  /** Everything that must be there once: addresses of Services, node ports, outer addresses with their ports. */
  readonly taken: Set<string>;
}

type Kind = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'headless' | 'ExternalName';

function generateCase(draw: Draw, index: number): ServiceCase {
  const { random, seed } = draw;
  const kind = random.weighted<Kind>([
    [8, 'ClusterIP'],
    [6, 'NodePort'],
    [7, 'LoadBalancer'],
    [1, 'headless'],
    [1, 'ExternalName'],
  ]);
  // Names hold the seed: nothing that a client left behind (affinity) in one cluster is met in the next.
  const name = `s${seed}-${index}`;
  const service = kind === 'ExternalName' ? externalName(name) : generateService(draw, name, kind);
  return { service, slices: generateSlices(random, service) };
}

function externalName(name: string): ApiService {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { type: 'ExternalName', externalName: 'backend.example.com', ports: [{ protocol: 'TCP', port: 80 }] },
  };
}

function generateService(draw: Draw, name: string, kind: Exclude<Kind, 'ExternalName'>): ApiService {
  const { random } = draw;
  const own = random.weighted<readonly IpFamily[]>([
    [4, ['ipv4']],
    [2, ['ipv6']],
    [3, ['ipv4', 'ipv6']],
    [1, ['ipv6', 'ipv4']],
  ]);
  const hasNodePorts = kind === 'NodePort' || (kind === 'LoadBalancer' && random.chance(0.8));
  const ports = generatePorts(draw, hasNodePorts);
  const service: ApiService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', labels: labelsOf(random) },
    spec: {
      type: kind === 'headless' ? 'ClusterIP' : kind,
      ...addressesOf(draw, kind, own),
      ports,
      ...(random.chance(0.3) ? { internalTrafficPolicy: 'Local' } : {}),
      ...(random.chance(0.1) ? { publishNotReadyAddresses: true } : {}),
      ...affinityOf(random),
      ...outerPart(draw, kind, own, ports),
      ...(kind === 'LoadBalancer' ? { allocateLoadBalancerNodePorts: hasNodePorts, ...rangesOf(random) } : {}),
    },
  };
  return kind === 'LoadBalancer' ? { ...service, status: statusOf(draw, own, service) } : service;
}

function addressesOf(draw: Draw, kind: Kind, own: readonly IpFamily[]): Partial<ApiService['spec']> {
  const clusterIPs = kind === 'headless' ? ['None'] : own.map((family) => clusterIp(draw, family));
  return {
    clusterIP: clusterIPs[0] ?? 'None',
    clusterIPs,
    ipFamilies: own.map(familyName),
    ipFamilyPolicy: own.length === 1 ? 'SingleStack' : 'RequireDualStack',
  };
}

/** Another proxy's, now and then. */
function labelsOf(random: Random): Readonly<Record<string, string>> {
  return random.chance(0.04) ? { 'service.kubernetes.io/service-proxy-name': 'another' } : { app: 'test' };
}

function generatePorts(draw: Draw, hasNodePorts: boolean): readonly ApiServicePort[] {
  const { random } = draw;
  const count = random.weighted([
    [6, 1],
    [3, 2],
    [1, 3],
  ]);
  const isNamed = count > 1 || random.chance(0.3);
  const taken = new Set<string>();
  const ports: ApiServicePort[] = [];
  while (ports.length < count) {
    const protocol = random.weighted<ApiProtocol>([
      [10, 'TCP'],
      [6, 'UDP'],
      [1, 'SCTP'],
    ]);
    const port = random.pick([53, 80, 443, 8080, 65_535]);
    if (taken.has(`${port}/${protocol}`)) continue;
    taken.add(`${port}/${protocol}`);
    const name = isNamed ? { name: `p${ports.length}` } : {};
    // One number for two protocols of a Service is well.
    const before = ports.find((other) => other.port === port)?.nodePort;
    ports.push({ ...name, protocol, port, ...(hasNodePorts ? { nodePort: before ?? nodePort(draw) } : {}) });
  }
  return ports;
}

function nodePort(draw: Draw): number {
  return untaken(
    draw,
    () => draw.random.integer(30_000, 32_200),
    (port) => `node port ${port}`,
  );
}

function clusterIp(draw: Draw, family: IpFamily): string {
  const { random } = draw;
  const make =
    family === 'ipv4'
      ? () => `${clusterIpPrefixes.ipv4}.${random.integer(128, 140)}.${random.integer(1, 254)}`
      : () => `${clusterIpPrefixes.ipv6}::${random.integer(0x8000, 0xffff).toString(16)}`;
  return untaken(draw, make, (address) => address);
}

/** Addresses of which no other Service has one of these ports. */
function outerAddresses(draw: Draw, own: readonly IpFamily[], ports: readonly ApiServicePort[]): readonly string[] {
  const { random } = draw;
  const wanted = own.flatMap((family) => Array.from({ length: random.integer(0, 2) }, () => family));
  const addresses = wanted.map((family) =>
    outerAddress(draw, ports, () =>
      // The node's own address is one as good as others.
      random.chance(0.1) ? nodeAddresses[family] : prefixed(externalPrefixes[family], random.integer(1, 40)),
    ),
  );
  return [...new Set(addresses)];
}

function outerAddress(draw: Draw, ports: readonly ApiServicePort[], make: () => string): string {
  const keysOf = (address: string) => ports.map(({ port, protocol }) => `${address} ${port}/${protocol}`);
  for (;;) {
    const address = make();
    if (keysOf(address).some((key) => draw.taken.has(key))) continue;
    for (const key of keysOf(address)) draw.taken.add(key);
    return address;
  }
}

function prefixed(prefix: string, host: number): string {
  return prefix.includes(':') ? `${prefix}::${host.toString(16)}` : `${prefix}.${host}`;
}

function statusOf(
  draw: Draw,
  own: readonly IpFamily[],
  { spec: { ports = [], externalIPs = [] } }: ApiService,
): NonNullable<ApiService['status']> {
  const { random } = draw;
  const count = random.weighted([
    [1, 0],
    [6, 1],
    [3, 2],
  ]);
  const ingress = Array.from({ length: count }, (): ApiIngress => {
    if (random.chance(0.1)) return { hostname: 'lb.example.com' };
    const family = random.pick(own);
    const shared = random.chance(0.1)
      ? externalIPs.find((address) => address.includes(':') === (family === 'ipv6'))
      : undefined;
    const ip =
      shared ??
      outerAddress(draw, ports, () =>
        // Where nobody has a balancer, the nodes' own addresses are given out as if they were one's.
        random.chance(0.15) ? nodeAddresses[family] : prefixed(balancerPrefixes[family], random.integer(1, 90)),
      );
    return random.weighted<ApiIngress>([
      [3, { ip }],
      [3, { ip, ipMode: 'VIP' }],
      [2, { ip, ipMode: 'Proxy' }],
    ]);
  });
  return { loadBalancer: { ingress } };
}

function rangesOf(random: Random): Pick<ApiService['spec'], 'loadBalancerSourceRanges'> {
  if (!random.chance(0.4)) return {};
  const all = [podCidrs, outsideCidrs, underlayCidrs].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  const ranges = random.shuffled([...all, '192.0.2.0/24', '2001:db8:9::/64']).slice(0, random.integer(1, 4));
  const everybody = random.chance(0.1) ? [random.pick(['0.0.0.0/0', '::/0'])] : [];
  return { loadBalancerSourceRanges: [...ranges, ...everybody] };
}

function outerPart(
  draw: Draw,
  kind: Kind,
  own: readonly IpFamily[],
  ports: readonly ApiServicePort[],
): Partial<ApiService['spec']> {
  const hasSome = kind !== 'headless' && draw.random.chance(0.25);
  const externalIPs = hasSome ? outerAddresses(draw, own, ports) : [];
  const policy = outerPolicy(draw, kind, externalIPs.length > 0);
  return externalIPs.length === 0 ? policy : { ...policy, externalIPs };
}

function outerPolicy(draw: Draw, kind: Kind, hasExternalIps: boolean): Partial<ApiService['spec']> {
  const { random } = draw;
  const isReachable = kind === 'NodePort' || kind === 'LoadBalancer' || (kind === 'ClusterIP' && hasExternalIps);
  if (!isReachable || !random.chance(0.45)) return {};
  if (kind !== 'LoadBalancer') return { externalTrafficPolicy: 'Local' };
  const healthCheckNodePort = untaken(
    draw,
    () => random.integer(32_300, 32_767),
    (port) => `node port ${port}`,
  );
  return { externalTrafficPolicy: 'Local', healthCheckNodePort };
}

function affinityOf(random: Random): Partial<ApiService['spec']> {
  if (!random.chance(0.2)) return {};
  const timeoutSeconds = random.pick([1, 10, 10_800, 86_400]);
  return { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
}

function untaken<Value>(draw: Draw, make: () => Value, keyOf: (value: Value) => string): Value {
  for (;;) {
    const value = make();
    if (draw.taken.has(keyOf(value))) continue;
    draw.taken.add(keyOf(value));
    return value;
  }
}
