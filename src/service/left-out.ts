/** Endpoints and pods of a Service that do not stand behind one of its ports, and why: what people look for and do not find in the plan. */
import type { EndpointSlice, Pod, Service, ServicePort } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import { familyName, familyOf, type IpAddress, type IpFamily } from '../lib/ip.ts';
import { headlessLabel } from './endpoints.ts';
import type { PlannedPort } from './plan.ts';
import { SliceIndex } from './slice-index.ts';

export interface LeftOut {
  /** Absent: a pod that has none. */
  readonly address?: string;
  readonly nodeName?: string;
  /** `namespace/name` */
  readonly pod?: string;
  readonly why: string;
}

/** A snapshot, for questions about many Services. */
export class LeftOutFinder {
  readonly #slices = new SliceIndex();
  readonly #pods: ReadonlyMap<string, readonly Pod[]>;

  constructor(state: ClusterState) {
    for (const slice of state.endpointSlices.values()) this.#slices.set(slice);
    const labelled = [...state.pods.values()].flatMap((pod) =>
      Object.entries(pod.labels).map((label) => ({ key: podKey(pod.namespace, label), pod })),
    );
    const groups = Map.groupBy(labelled, ({ key }) => key);
    this.#pods = new Map([...groups].map(([key, group]) => [key, group.map(({ pod }) => pod)]));
  }

  /** Sorted by address; none of them is among `planned.endpoints`. */
  of(service: Service, planned: PlannedPort): readonly LeftOut[] {
    const port = service.ports.find((one) => one.port === planned.port && one.protocol === planned.protocol);
    if (port === undefined) return [];
    const slices = this.#slices.of(keyOf(service));
    const behind = new Set<string>(planned.endpoints.map(({ address }) => address));
    const found = slices
      .flatMap((slice) => fromSlice(slice, { service, port, family: planned.family }))
      .filter(({ address }) => address === undefined || !behind.has(address));
    const named = new Set(slices.flatMap(({ endpoints }) => endpoints.map(({ pod }) => pod)));
    const pods = this.#selected(service)
      .filter((pod) => !named.has(keyOf(pod)) && !pod.ips.some((address) => behind.has(address)))
      .map((pod) => fromPod(pod, port, planned.family));
    return distinct([...found, ...pods]).toSorted((left, right) => (sortKey(left) < sortKey(right) ? -1 : 1));
  }

  #selected({ namespace, selector = {} }: Service): readonly Pod[] {
    const [first, ...others] = Object.entries(selector);
    if (first === undefined) return [];
    const candidates = this.#pods.get(podKey(namespace, first)) ?? [];
    return candidates.filter(({ labels }) => others.every(([key, value]) => labels[key] === value));
  }
}

function podKey(namespace: string, [key, value]: readonly [string, string]): string {
  return `${namespace} ${key} ${value}`;
}

interface Sought {
  readonly service: Service;
  readonly port: ServicePort;
  readonly family: IpFamily;
}

function fromSlice(slice: EndpointSlice, sought: Sought): readonly LeftOut[] {
  const why = whySliceIsOut(slice, sought);
  if (why !== undefined) return slice.endpoints.map((endpoint) => leftOut(endpoint, endpoint.addresses[0], why));
  if (slice.addressType !== familyName(sought.family)) return [];
  const others = 'it is not the first address of its endpoint';
  return slice.endpoints.flatMap((endpoint) =>
    endpoint.addresses.slice(1).map((address) => leftOut(endpoint, address, others)),
  );
}

/** Undefined: what it holds is in the plan, of this family or of the other. */
function whySliceIsOut(
  { addressType, labels, ports }: EndpointSlice,
  { service, port, family }: Sought,
): string | undefined {
  if (addressType === 'FQDN') return 'its slice holds names (addressType FQDN)';
  if (headlessLabel in labels) return `its slice has the label ${headlessLabel}`;
  if (addressType !== familyName(family)) {
    const isServed = service.clusterIps.some((address) => familyName(familyOf(address)) === addressType);
    return isServed ? undefined : `it is ${addressType}, and the Service has no ${addressType} address`;
  }
  const same = ports.find(({ name, protocol }) => name === port.name && protocol === port.protocol);
  if (same === undefined) return `its slice has no ${portText(port)}`;
  return (same.port ?? 0) === 0 ? `its slice gives ${portText(port)} no number` : undefined;
}

function portText({ name, protocol }: ServicePort): string {
  return name === '' ? `unnamed ${protocol} port` : `${protocol} port called ${name}`;
}

function leftOut(
  { nodeName, pod }: { readonly nodeName?: string | undefined; readonly pod?: string | undefined },
  address: IpAddress | undefined,
  why: string,
): LeftOut {
  return {
    ...(address === undefined ? {} : { address }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(pod === undefined ? {} : { pod }),
    why,
  };
}

/** A pod that no slice names. */
function fromPod(pod: Pod, port: ServicePort, family: IpFamily): LeftOut {
  const address = pod.ips.find((own) => familyOf(own) === family) ?? pod.ips[0];
  return leftOut({ nodeName: pod.nodeName, pod: keyOf(pod) }, address, whyPodIsOut(pod, port, family));
}

function whyPodIsOut(pod: Pod, { protocol, targetPort }: ServicePort, family: IpFamily): string {
  if (hasEnded(pod)) return `it has ended (${pod.phase})`;
  if (pod.ips.length === 0) return 'it has no address yet';
  if (!pod.ips.some((own) => familyOf(own) === family)) return `it has no ${familyName(family)} address`;
  const isKnown = pod.ports.some((one) => one.name === targetPort && one.protocol === protocol);
  if (typeof targetPort === 'string' && !isKnown) return `it has no ${protocol} port called ${targetPort}`;
  return 'no EndpointSlice names it';
}

function distinct(all: readonly LeftOut[]): readonly LeftOut[] {
  return [...new Map(all.map((one) => [sortKey(one), one])).values()];
}

function sortKey({ address = '', pod = '' }: LeftOut): string {
  return `${address} ${pod}`;
}
