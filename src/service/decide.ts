/** One Service and its EndpointSlices -> what this node does with it. Nothing here knows iptables. */
import type { EndpointSlice, Service, ServicePort } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import { compact, flat } from '../lib/compact.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { type Cidr, cidrContains, familyOf, type IpAddress, type IpFamily } from '../lib/ip.ts';
import { chooseEndpoints } from './choose.ts';
import { collectEndpoints, type EndpointsByPort, isPort, portKey } from './endpoints.ts';
import { servicePortName } from './names.ts';
import { detectorCidr, type ServiceOptions } from './options.ts';
import type { PlannedHealthCheck, PlannedPort, PlannedService, Reach } from './plan.ts';
import { problemAt } from './problem.ts';

/** Another proxy serves the Service. */
export const proxyNameLabel = 'service.kubernetes.io/service-proxy-name';

export interface DecideContext {
  readonly options: ServiceOptions;
  readonly families: readonly IpFamily[];
  /** This node's `topology.kubernetes.io/zone`. */
  readonly zone?: string;
}

export function decideService(
  service: Service,
  slices: Iterable<EndpointSlice>,
  context: DecideContext,
): { readonly planned: PlannedService; readonly diagnostics: readonly Diagnostic[] } {
  if (!isServed(service)) return { planned: { service, ports: [] }, diagnostics: [] };
  const { endpoints, diagnostics } = collectEndpoints(slices);
  const problems: Diagnostic[] = [...serviceProblems(service), ...diagnostics];
  const usable = usablePorts(service, problems);
  const ports = context.families.flatMap((family) => {
    const clusterIp = service.clusterIps.find((address) => familyOf(address) === family);
    if (clusterIp === undefined) return [];
    const scope: FamilyScope = { service, family, clusterIp, endpoints, context };
    return usable.map(([index, port]) => decidePort(scope, index, port));
  });
  const healthCheck = planHealthCheck(service, ports);
  return {
    planned: { service, ports: compact(ports), ...(healthCheck === undefined ? {} : { healthCheck }) },
    diagnostics: compact(problems),
  };
}

interface FamilyScope {
  readonly service: Service;
  readonly family: IpFamily;
  readonly clusterIp: IpAddress;
  readonly endpoints: EndpointsByPort;
  readonly context: DecideContext;
}

function isServed(service: Service): boolean {
  return !service.headless && service.type !== 'ExternalName' && !(proxyNameLabel in service.labels);
}

function decidePort(scope: FamilyScope, index: number, port: ServicePort): PlannedPort {
  const { service, family, clusterIp, context } = scope;
  const { options } = context;
  const front = frontends(scope, port);
  const externallyAccessible = front.nodePort !== 0 || front.loadBalancerIps.length > 0 || front.externalIps.length > 0;
  const internalLocal = service.internalTrafficPolicy === 'Local';
  const externalLocal = isExternalLocal(service);
  const choice = chooseEndpoints(scope.endpoints.get(portKey(family, port.name, port.protocol)) ?? [], {
    nodeName: options.nodeName,
    ...(context.zone === undefined ? {} : { zone: context.zone }),
    needsCluster: !internalLocal || externallyAccessible,
    needsLocal: internalLocal || (externalLocal && externallyAccessible),
  });
  const hasLocal = choice.local.length > 0;
  const affinity = affinitySeconds(service);
  return {
    family,
    servicePortName: servicePortName(keyOf(service), port.name),
    path: flat('spec.ports[', String(index), ']'),
    protocol: port.protocol,
    port: port.port,
    clusterIp,
    ...front,
    healthCheckNodePort: healthCheckNodePort(service),
    internalPolicy: service.internalTrafficPolicy,
    externalPolicy: externalLocal ? 'Local' : 'Cluster',
    externallyAccessible,
    ...(affinity === undefined ? {} : { affinitySeconds: affinity }),
    ...sourceRanges(scope),
    internal: reach(choice.hasEndpoints, internalLocal, hasLocal),
    external: reach(choice.hasEndpoints, externalLocal, hasLocal),
    masqueradeInternal: masqueradeInternal(options, family),
    masqueradeExternal: externalLocal ? 'node' : 'everybody',
    endpoints: choice.endpoints,
    clusterEndpoints: choice.cluster,
    localEndpoints: choice.local,
    yielded: nothingYielded,
  };
}

function frontends(
  { service, family, context }: FamilyScope,
  port: ServicePort,
): Pick<PlannedPort, 'externalIps' | 'loadBalancerIps' | 'nodePort'> {
  const ofFamily = (addresses: readonly IpAddress[]) =>
    compact([...new Set(addresses.filter((address) => familyOf(address) === family))]);
  const isLoadBalancer = service.type === 'LoadBalancer';
  const ingress = service.loadBalancerIngress.filter(({ ipMode }) => ipMode === 'VIP').map(({ ip }) => ip);
  return {
    externalIps: context.options.externalIps === false ? [] : ofFamily(service.externalIps),
    loadBalancerIps: isLoadBalancer ? ofFamily(ingress) : [],
    nodePort: (isLoadBalancer || service.type === 'NodePort') && isPort(port.nodePort) ? port.nodePort : 0,
  };
}

/** Policy Local of a Service that nothing outside can reach is ignored, as the API says. */
function isExternalLocal(service: Service): boolean {
  if (service.externalTrafficPolicy !== 'Local') return false;
  return service.type === 'NodePort' || service.type === 'LoadBalancer' || service.externalIps.length > 0;
}

function reach(hasEndpoints: boolean, isLocalPolicy: boolean, hasLocal: boolean): Reach {
  if (!hasEndpoints) return 'reject';
  return isLocalPolicy && !hasLocal ? 'drop' : 'serve';
}

/** A /0 of the family admits everybody: no ranges. Ranges of the other family alone admit everybody too. */
function sourceRanges({
  service,
  family,
  context,
}: FamilyScope): Pick<PlannedPort, 'sourceRanges' | 'nodeInSourceRanges'> {
  const ranges = service.loadBalancerSourceRanges.filter((cidr) => cidr.family === family);
  if (ranges.some((cidr) => cidr.prefixLength === 0)) return { sourceRanges: noRanges, nodeInSourceRanges: false };
  const node = context.options.nodeAddresses.find((address) => familyOf(address) === family);
  return {
    sourceRanges: compact(ranges),
    nodeInSourceRanges: node !== undefined && ranges.some((cidr) => cidrContains(cidr, node)),
  };
}

const noRanges: readonly Cidr[] = [];
const nothingYielded: PlannedPort['yielded'] = new Map();

function masqueradeInternal(options: ServiceOptions, family: IpFamily): PlannedPort['masqueradeInternal'] {
  if (options.masqueradeAll) return 'everybody';
  const { detector } = options;
  if (detector.kind === 'none') return 'nobody';
  const needsCidr = detector.kind === 'clusterCidr' || detector.kind === 'nodeCidr';
  return needsCidr && detectorCidr(detector, family) === undefined ? 'nobody' : 'not-pods';
}

function healthCheckNodePort(service: Service): number {
  const isUsed = service.type === 'LoadBalancer' && service.externalTrafficPolicy === 'Local';
  return isUsed && isPort(service.healthCheckNodePort) ? service.healthCheckNodePort : 0;
}

function planHealthCheck(service: Service, ports: readonly PlannedPort[]): PlannedHealthCheck | undefined {
  const nodePort = healthCheckNodePort(service);
  if (nodePort === 0 || ports.length === 0) return undefined;
  return { nodePort, localEndpoints: { ipv4: localReady(ports, 'ipv4'), ipv6: localReady(ports, 'ipv6') } };
}

/** Distinct addresses, as a load balancer weighs nodes by pods and not by ports. */
function localReady(ports: readonly PlannedPort[], family: IpFamily): number {
  const endpoints = ports.filter((port) => port.family === family).flatMap((port) => port.endpoints);
  return new Set(endpoints.filter(({ ready, local }) => ready && local).map(({ address }) => address)).size;
}

const maxAffinitySeconds = 86_400;

function affinitySeconds(service: Service): number | undefined {
  const seconds = service.sessionAffinitySeconds;
  return seconds !== undefined && isAffinity(seconds) ? seconds : undefined;
}

function isAffinity(seconds: number): boolean {
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= maxAffinitySeconds;
}

/** The ports that can be served, with their place in the spec; two ports with one name or one number would share their chains. */
function usablePorts(service: Service, problems: Diagnostic[]): readonly (readonly [number, ServicePort])[] {
  const taken = new Set<string>();
  const usable: [number, ServicePort][] = [];
  for (const [index, port] of service.ports.entries()) {
    const problem = portProblem(service, index, port, taken);
    if (problem !== undefined) {
      problems.push(problem);
      continue;
    }
    taken.add(`name ${port.name}`).add(`port ${port.port}/${port.protocol}`);
    usable.push([index, port]);
    if (port.nodePort !== 0 && !isPort(port.nodePort)) {
      problems.push(problemAt(service, `spec.ports[${index}].nodePort`, notAPort(port.nodePort)));
    }
  }
  return usable;
}

function portProblem(
  service: Service,
  index: number,
  port: ServicePort,
  taken: ReadonlySet<string>,
): Diagnostic | undefined {
  const path = `spec.ports[${index}]`;
  if (!isPort(port.port)) return problemAt(service, `${path}.port`, notAPort(port.port));
  if (taken.has(`name ${port.name}`)) {
    return problemAt(
      service,
      `${path}.name`,
      `'${port.name}' names two ports, expected a name of its own; this one is not served`,
    );
  }
  if (taken.has(`port ${port.port}/${port.protocol}`)) {
    return problemAt(
      service,
      `${path}.port`,
      `${port.port}/${port.protocol} is there twice, expected once; this one is not served`,
    );
  }
  return undefined;
}

function serviceProblems(service: Service): readonly Diagnostic[] {
  const problems: Diagnostic[] = [];
  const families = new Set(service.clusterIps.map(familyOf));
  if (families.size < service.clusterIps.length) {
    problems.push(
      problemAt(
        service,
        'spec.clusterIPs',
        'two addresses of one family, expected at most one of each; the first is served',
      ),
    );
  }
  const external = service.externalIps.map((address, index) => [address, `spec.externalIPs[${index}]`] as const);
  const ingress = service.loadBalancerIngress.map(
    ({ ip }, index) => [ip, `status.loadBalancer.ingress[${index}].ip`] as const,
  );
  for (const [address, path] of [...external, ...ingress]) {
    if (families.has(familyOf(address))) continue;
    const message = `${address} is not served, expected an address of the family of a clusterIP`;
    problems.push({ ...problemAt(service, path, message), severity: 'warning' });
  }
  if (service.healthCheckNodePort !== 0 && !isPort(service.healthCheckNodePort)) {
    problems.push(problemAt(service, 'spec.healthCheckNodePort', notAPort(service.healthCheckNodePort)));
  }
  const affinity = service.sessionAffinitySeconds;
  if (affinity !== undefined && !isAffinity(affinity)) {
    const message = `${affinity} seconds, expected 1 to ${maxAffinitySeconds}; there is no affinity`;
    problems.push(problemAt(service, 'spec.sessionAffinityConfig.clientIP.timeoutSeconds', message));
  }
  return problems;
}

function notAPort(port: number): string {
  return `${port} is no port, expected 1 to 65535`;
}
