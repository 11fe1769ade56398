/** Services that reach nobody though they seem to, and endpoints that nobody reaches. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { Cidr } from '../lib/ip.ts';
import { cidrContains, formatCidr } from '../lib/ip.ts';
import type { PodsOfCluster } from './lint-lookup.ts';
import { warn } from './lint-lookup.ts';
import type { EndpointSlice, Pod, Service } from './objects.ts';
import { keyOf } from './objects.ts';
import type { ClusterState } from './state.ts';

export interface ServiceLintContext {
  readonly pods: PodsOfCluster;
  /** As ServiceCIDR objects state them. */
  readonly serviceCidrs: readonly Cidr[];
  /** Objects that are wrong, `Kind namespace/name`. */
  readonly refused: ReadonlySet<string>;
}

export function lintServices(
  state: ClusterState,
  { pods, serviceCidrs, refused }: ServiceLintContext,
): readonly Diagnostic[] {
  const byKey = <T extends Service | EndpointSlice>(objects: ReadonlyMap<string, T>): readonly T[] =>
    [...objects.values()].toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
  return [
    ...byKey(state.services).flatMap((service) => [
      ...lintClusterIps(service, serviceCidrs),
      ...lintSelector(service, pods),
    ]),
    ...byKey(state.endpointSlices).flatMap((slice) => lintSlice(slice, state, refused)),
  ];
}

/** The API server refuses such an address, unless the ranges have changed since. */
function lintClusterIps(service: Service, serviceCidrs: readonly Cidr[]): readonly Diagnostic[] {
  if (serviceCidrs.length === 0) return [];
  const outside = service.clusterIps.filter((address) => !serviceCidrs.some((cidr) => cidrContains(cidr, address)));
  const path = service.location?.lines.has('spec.clusterIPs') === true ? 'spec.clusterIPs' : 'spec.clusterIP';
  return outside.map((address) =>
    warn(service, path, `${address} is outside of every ServiceCIDR (${serviceCidrs.map(formatCidr).join(', ')})`),
  );
}

function lintSelector(service: Service, pods: PodsOfCluster): readonly Diagnostic[] {
  const { selector, namespace } = service;
  if (selector === undefined || service.type === 'ExternalName') return [];
  const selected = pods.inNamespace(namespace, { matchLabels: selector, matchExpressions: [] });
  if (selected.length === 0) return [warn(service, 'spec.selector', `selects no pod of namespace ${namespace}`)];
  return lintTargetPorts(service, selected);
}

function lintTargetPorts(service: Service, selected: readonly Pod[]): readonly Diagnostic[] {
  return service.ports.flatMap(({ targetPort, protocol }, index) => {
    if (typeof targetPort === 'number') return [];
    const isKnown = selected.some(({ ports }) =>
      ports.some((port) => port.name === targetPort && port.protocol === protocol),
    );
    if (isKnown) return [];
    const message = `no pod that spec.selector selects has a ${protocol} port called ${targetPort}`;
    return [warn(service, `spec.ports[${index}].targetPort`, message)];
  });
}

function lintSlice(
  slice: EndpointSlice,
  { services }: ClusterState,
  refused: ReadonlySet<string>,
): readonly Diagnostic[] {
  const owner = `${slice.namespace}/${slice.service}`;
  if (slice.service === '' || services.has(owner) || refused.has(`Service ${owner}`)) return [];
  const path = 'metadata.labels.kubernetes.io/service-name';
  return [warn(slice, path, `no Service is called ${owner}: nobody reaches the slice's endpoints`)];
}
