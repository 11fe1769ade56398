/** What a node does with a Service, in words: endpoints with why each is used or not; service-frontends.ts has the rest. */
import type { Service } from '../../cluster/objects.ts';
import { dnsAnswer, slicesOf } from '../../cluster/service-names.ts';
import type { ClusterState } from '../../cluster/state.ts';
import { endpointReasons } from '../../explain/endpoint-text.ts';
import { joinHostPort } from '../../lib/ip.ts';
import { proxyNameLabel } from '../../service/decide.ts';
import type { LeftOut, LeftOutFinder } from '../../service/left-out.ts';
import type { NodePortOptions } from '../../service/nodeport-addresses.ts';
import type { EndpointUse, PlannedEndpoint, PlannedPort, PlannedService } from '../../service/plan.ts';
import { frontendsOf } from './service-frontends.ts';

/** Where a plan holds, and what else is known there. */
export interface PlanView {
  readonly node: string;
  readonly state: ClusterState;
  readonly leftOut: LeftOutFinder;
  readonly nodePorts: NodePortOptions;
}

/** For YAML and JSON. */
export function planObject(planned: PlannedService, view: PlanView): object {
  const { service, ports, healthCheck } = planned;
  const { node, state } = view;
  const why = whyNotServed(service, state);
  if (why !== undefined) {
    return { node, served: false, why, ...(service.headless ? { endpoints: namedEndpoints(service, state) } : {}) };
  }
  return {
    node,
    served: true,
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ports: ports.map((port) => portObject(service, port, view)),
  };
}

/** Of a headless Service: whom its name stands for. */
function namedEndpoints(service: Service, state: ClusterState): readonly object[] {
  const endpoints = slicesOf(state, service).flatMap((slice) => slice.endpoints);
  return endpoints.flatMap(({ addresses, ready, terminating, pod, nodeName }) => {
    const used = ready || service.publishNotReadyAddresses;
    const condition = ready ? 'it is ready' : terminating ? 'it terminates' : 'it is not ready';
    const why = used && !ready ? `${condition}, and publishNotReadyAddresses asks for it` : condition;
    return addresses.map((address) => ({
      address,
      ...(pod === undefined ? {} : { pod }),
      ...(nodeName === undefined ? {} : { node: nodeName }),
      used,
      dns: `${used ? 'named' : 'not named'}: ${why}`,
    }));
  });
}

/** Undefined: rules are written for it. */
function whyNotServed(service: Service, state: ClusterState): string | undefined {
  const { addresses } = dnsAnswer(state, service);
  const answer = addresses.length === 0 ? 'with no address' : addresses.join(', ');
  if (service.type === 'ExternalName') return `ExternalName: no rules; DNS answers ${service.externalName ?? ''}`;
  if (service.headless) return `headless: no rules; DNS answers ${answer}`;
  if (proxyNameLabel in service.labels) return `its label ${proxyNameLabel} says that another proxy serves it`;
  return undefined;
}

/** More are counted; YAML and JSON have them all. */
const longestList = 8;

/** `10.88.0.26:80,10.88.0.27:80`, and how many more there are that get nothing; of a headless Service what DNS answers. */
export function endpointsText({ service, ports }: PlannedService, { state, leftOut }: PlanView): readonly string[] {
  if (service.headless) return shortened(dnsAnswer(state, service).addresses.toSorted());
  const endpoints = new Map<string, boolean>();
  for (const port of ports) {
    for (const endpoint of port.endpoints) {
      const key = joinHostPort(endpoint.address, endpoint.port);
      endpoints.set(key, endpoints.get(key) === true || isUsed(endpoint));
    }
  }
  const used = [...endpoints].filter(([, isInUse]) => isInUse).map(([key]) => key);
  const behind = new Set<string>(ports.flatMap((port) => port.endpoints.map(({ address }) => address)));
  const others = ports.flatMap((port) => leftOut.of(service, port)).map(({ address, pod }) => address ?? pod ?? '');
  const rest = endpoints.size - used.length + new Set(others.filter((one) => !behind.has(one))).size;
  return rest === 0 ? shortened(used.sort()) : [...shortened(used.sort()), `(${rest} not used)`];
}

function shortened(sorted: readonly string[]): readonly string[] {
  const rest = sorted.length - longestList;
  return rest <= 0 ? sorted : [...sorted.slice(0, longestList), `(${rest} more)`];
}

/** `Local`; `external Local` where the other one differs. */
export function policyText({ externalTrafficPolicy: external, internalTrafficPolicy: internal }: Service): string {
  if (external === internal) return external;
  return external === 'Local' ? 'external Local' : 'internal Local';
}

export function affinityText({ sessionAffinitySeconds: seconds }: Service): string {
  return seconds === undefined ? 'None' : `ClientIP ${seconds}s`;
}

function portObject(service: Service, port: PlannedPort, { leftOut, nodePorts }: PlanView): object {
  const { family, servicePortName, protocol, path, affinitySeconds } = port;
  return {
    servicePort: servicePortName,
    family,
    protocol,
    path,
    frontends: frontendsOf(service, port, nodePorts),
    ...(affinitySeconds === undefined ? {} : { affinity: `ClientIP, ${affinitySeconds} s` }),
    endpoints: [
      ...port.endpoints.map((endpoint) => endpointObject(endpoint, port)),
      ...leftOut.of(service, port).map(leftOutObject),
    ],
  };
}

function endpointObject(endpoint: PlannedEndpoint, port: PlannedPort): object {
  const { address, nodeName, pod, zone, local, ready, serving, terminating } = endpoint;
  const external = port.externallyAccessible ? [port.externalPolicy] : [];
  const policies = new Set([port.internalPolicy, ...external]);
  return {
    address: joinHostPort(address, endpoint.port),
    ...(pod === undefined ? {} : { pod }),
    ...(nodeName === undefined ? {} : { node: nodeName }),
    ...(zone === undefined ? {} : { zone }),
    local,
    ready,
    serving,
    terminating,
    used: isUsed(endpoint),
    ...(policies.has('Cluster') || endpoint.inCluster.used ? { policyCluster: useText(endpoint.inCluster) } : {}),
    ...(policies.has('Local') ? { policyLocal: useText(endpoint.inLocal) } : {}),
  };
}

/** It never came to be an endpoint of this port. */
function leftOutObject({ address, pod, nodeName, why }: LeftOut): object {
  return {
    ...(address === undefined ? {} : { address }),
    ...(pod === undefined ? {} : { pod }),
    ...(nodeName === undefined ? {} : { node: nodeName }),
    used: false,
    why,
  };
}

function isUsed({ inCluster, inLocal }: PlannedEndpoint): boolean {
  return inCluster.used || inLocal.used;
}

function useText({ used, why }: EndpointUse): string {
  return `${used ? 'used' : 'not used'}: ${endpointReasons[why]}`;
}
