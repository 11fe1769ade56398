/** EndpointSlices of Services with a selector, as the cluster's own controller would write them. */
import type { Endpoint, EndpointPort, EndpointSlice, Labels, Node, Pod, Service } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import type { IpFamily } from '../lib/ip.ts';
import { familyName, familyOf } from '../lib/ip.ts';
import type { FilledService } from './fill-services.ts';
import { MadeObjects } from './memory.ts';
import type { TrafficDistribution } from './parsed.ts';
import { serviceNameLabel } from './read-endpoint-slice.ts';

const zoneLabel = 'topology.kubernetes.io/zone';

export class SliceFiller {
  readonly #slices = new MadeObjects<readonly EndpointSlice[]>();

  /** A Service of which the files state a slice has those alone. */
  fill(
    services: readonly FilledService[],
    stated: readonly EndpointSlice[],
    cluster: { readonly pods: readonly Pod[]; readonly nodes: readonly Node[] },
  ): readonly EndpointSlice[] {
    const withSlices = new Set(stated.map((slice) => `${slice.namespace}/${slice.service}`));
    const takenNames = new Set(stated.map(keyOf));
    let index: PodsByLabel | undefined;
    const zones = new Map(cluster.nodes.map((node) => [node.name, node.labels[zoneLabel]]));
    const made = services.flatMap(({ service, families, trafficDistribution }) => {
      const { selector } = service;
      if (selector === undefined || service.type === 'ExternalName' || withSlices.has(keyOf(service))) return [];
      index ??= new PodsByLabel(cluster.pods);
      const pods = index.select(service.namespace, selector).filter(hasEndpoint);
      const podZones = pods.map((pod) => zones.get(pod.nodeName ?? ''));
      const clashes = [...takenNames].filter((name) => name.startsWith(`${keyOf(service)}-`)).join();
      const parts = [service, ...families, ...pods, ...podZones, clashes, trafficDistribution];
      return this.#slices.of(keyOf(service), parts, () =>
        families
          .flatMap((family) => slicesOf(service, family, { pods, zones, takenNames }))
          .map((slice) => withHints(slice, trafficDistribution)),
      );
    });
    this.#slices.endRound();
    return [...stated, ...made];
  }
}

/** Pods by namespace and label, so that a selector looks at few of them. */
class PodsByLabel {
  readonly #pods = new Map<string, Pod[]>();

  constructor(pods: readonly Pod[]) {
    for (const pod of pods) {
      for (const [key, value] of Object.entries(pod.labels)) {
        const place = `${pod.namespace} ${key} ${value}`;
        const known = this.#pods.get(place);
        if (known === undefined) this.#pods.set(place, [pod]);
        else known.push(pod);
      }
    }
  }

  select(namespace: string, selector: Labels): readonly Pod[] {
    const groups = Object.entries(selector).map(([key, value]) => this.#pods.get(`${namespace} ${key} ${value}`) ?? []);
    const [smallest = []] = groups.toSorted((left, right) => left.length - right.length);
    return smallest.filter((pod) => Object.entries(selector).every(([key, value]) => pod.labels[key] === value));
  }
}

/** A terminating pod still is one, so that its connections can end; a finished one or one without an address is not. */
function hasEndpoint(pod: Pod): boolean {
  return pod.ips.length > 0 && !hasEnded(pod);
}

/** One slice; several where a port's name means different numbers on different pods. */
function slicesOf(
  service: Service,
  family: IpFamily,
  cluster: {
    readonly pods: readonly Pod[];
    readonly zones: ReadonlyMap<string, string | undefined>;
    readonly takenNames: ReadonlySet<string>;
  },
): readonly EndpointSlice[] {
  const groups = new Map<string, { readonly ports: readonly EndpointPort[]; readonly endpoints: Endpoint[] }>();
  for (const pod of cluster.pods) {
    const addresses = pod.ips.filter((ip) => familyOf(ip) === family);
    const ports = endpointPorts(service, pod);
    // A pod that has none of the ports serves nothing; a headless Service without ports only names its pods.
    if (addresses.length === 0 || (ports.length === 0 && service.ports.length > 0)) continue;
    const key = ports.map(({ port }) => port).join('-');
    const group = groups.get(key) ?? { ports, endpoints: [] };
    groups.set(key, group);
    group.endpoints.push(endpointOf(service, pod, { addresses, zone: cluster.zones.get(pod.nodeName ?? '') }));
  }
  const hasNamedTarget = service.ports.some(({ targetPort }) => typeof targetPort === 'string');
  return [...groups].map(([key, group]) => {
    const name = `${service.name}-${family}${hasNamedTarget ? `-${key}` : ''}`;
    return sliceOf(service, family, { ...group, name: freeName(service.namespace, name, cluster.takenNames) });
  });
}

function sliceOf(
  service: Service,
  family: IpFamily,
  slice: { readonly name: string; readonly ports: readonly EndpointPort[]; readonly endpoints: readonly Endpoint[] },
): EndpointSlice {
  const headless: Labels = service.headless ? { 'service.kubernetes.io/headless': '' } : {};
  return {
    kind: 'EndpointSlice',
    namespace: service.namespace,
    name: slice.name,
    labels: {
      ...service.labels,
      [serviceNameLabel]: service.name,
      'endpointslice.kubernetes.io/managed-by': 'sluice',
      ...headless,
    },
    service: service.name,
    addressType: familyName(family),
    ports: slice.ports,
    endpoints: slice.endpoints,
    ...(service.location === undefined ? {} : { location: service.location }),
  };
}

function endpointOf(
  service: Service,
  pod: Pod,
  place: { readonly addresses: Endpoint['addresses']; readonly zone: string | undefined },
): Endpoint {
  return {
    addresses: place.addresses,
    ready: service.publishNotReadyAddresses || (pod.ready && !pod.terminating),
    serving: pod.ready,
    terminating: pod.terminating,
    hintZones: [],
    hintNodes: [],
    ...(pod.nodeName === undefined ? {} : { nodeName: pod.nodeName }),
    ...(place.zone === undefined ? {} : { zone: place.zone }),
    pod: keyOf(pod),
  };
}

/** As the cluster's controller hints: to every ready endpoint its own zone, and with PreferSameNode its own node. */
function withHints(slice: EndpointSlice, distribution: TrafficDistribution | undefined): EndpointSlice {
  if (distribution === undefined) return slice;
  const endpoints = slice.endpoints.map((endpoint): Endpoint => {
    if (!endpoint.ready) return endpoint;
    const { zone, nodeName } = endpoint;
    return {
      ...endpoint,
      hintZones: zone === undefined ? [] : [zone],
      hintNodes: nodeName === undefined || distribution !== 'PreferSameNode' ? [] : [nodeName],
    };
  });
  return { ...slice, endpoints };
}

/** A port whose name the pod does not know is left out. */
function endpointPorts(service: Service, pod: Pod): readonly EndpointPort[] {
  return service.ports.flatMap(({ name, protocol, targetPort }) => {
    const named = pod.ports.find((one) => one.name === targetPort && one.protocol === protocol);
    const port = typeof targetPort === 'number' ? targetPort : named?.port;
    return port === undefined ? [] : [{ name, protocol, port }];
  });
}

function freeName(namespace: string, name: string, taken: ReadonlySet<string>): string {
  return taken.has(`${namespace}/${name}`) ? freeName(namespace, `${name}-x`, taken) : name;
}
