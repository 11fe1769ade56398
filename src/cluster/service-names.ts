/** What cluster DNS answers for the name of a Service, and where its outer addresses lead: what people meet before any rule. */
import type { IpAddress } from '../lib/ip.ts';
import type { EndpointSlice, Service } from './objects.ts';
import { keyOf } from './objects.ts';
import type { ClusterState } from './state.ts';

export interface DnsAnswer {
  /** The Services that were asked, each by the name that the one before stands for. */
  readonly services: readonly Service[];
  /** The name of the world outside that it ends at, where it does. */
  readonly outsideName?: string;
  readonly addresses: readonly IpAddress[];
}

/** The ClusterIPs; of a headless Service its endpoints; an ExternalName stands for another name, perhaps of this cluster. */
export function dnsAnswer(state: ClusterState, service: Service): DnsAnswer {
  const services: Service[] = [];
  let present = service;
  while (!services.includes(present)) {
    services.push(present);
    if (present.type !== 'ExternalName') return { services, addresses: addressesBehind(state, present) };
    const outsideName = present.externalName ?? '';
    const next = serviceOfName(state, outsideName);
    if (next === undefined) return { services, outsideName, addresses: [] };
    present = next;
  }
  return { services, addresses: [] };
}

/**
 * Nodes that a packet from outside to an external or load balancer address may come in by, sorted: with policy Local those
 * that have a ready endpoint (a balancer's health checks find them), where there are any.
 */
export function entryNodes(state: ClusterState, service: Service): readonly string[] {
  const nodes = [...state.nodes.keys()].sort();
  if (service.externalTrafficPolicy !== 'Local') return nodes;
  const ready = slicesOf(state, service)
    .flatMap(({ endpoints }) => endpoints)
    .filter((endpoint) => endpoint.ready);
  const local = nodes.filter((name) => ready.some(({ nodeName }) => nodeName === name));
  return local.length > 0 ? local : nodes;
}

function addressesBehind(state: ClusterState, service: Service): readonly IpAddress[] {
  if (!service.headless) return service.clusterIps;
  const endpoints = slicesOf(state, service).flatMap((slice) => slice.endpoints);
  const named = endpoints.filter(({ ready }) => ready || service.publishNotReadyAddresses);
  return [...new Set(named.flatMap(({ addresses }) => addresses))];
}

/** A Service's, by name, so that the answer does not depend on how the cluster came to be. */
export function slicesOf(state: ClusterState, service: Service): readonly EndpointSlice[] {
  return [...state.endpointSlices.values()]
    .filter((slice) => slice.namespace === service.namespace && slice.service === service.name)
    .sort((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
}

/** `NAME.NAMESPACE.svc.cluster.local`; other domains are not this cluster's. */
function serviceOfName(state: ClusterState, text: string): Service | undefined {
  const [, name, namespace] = /^([^.]+)\.([^.]+)\.svc\.cluster\.local\.?$/.exec(text) ?? [];
  return name === undefined || namespace === undefined ? undefined : state.services.get(`${namespace}/${name}`);
}
