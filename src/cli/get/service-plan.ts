/** What a node does with a Service, in words: frontends with what becomes of their clients, endpoints with why each is used or not. */
import type { Service } from '../../cluster/objects.ts';
import { dnsAnswer } from '../../cluster/service-names.ts';
import type { ClusterState } from '../../cluster/state.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { formatCidr, joinHostPort } from '../../lib/ip.ts';
import { addressFrontend, nodePortFrontend } from '../../service/claims.ts';
import { proxyNameLabel } from '../../service/decide.ts';
import type { EndpointReason, EndpointUse, PlannedEndpoint, PlannedPort, PlannedService } from '../../service/plan.ts';

/** For YAML and JSON. */
export function planObject(planned: PlannedService, node: string, state: ClusterState): object {
  const { service, ports, healthCheck } = planned;
  const why = whyNotServed(service, state);
  if (why !== undefined) return { node, served: false, why };
  return {
    node,
    served: true,
    ...(healthCheck === undefined ? {} : { healthCheck }),
    ports: ports.map(portObject),
  };
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

/** `10.88.0.26:80,10.88.0.27:80`, and how many more there are that get nothing; of a headless Service what DNS answers. */
export function endpointsText({ service, ports }: PlannedService, state: ClusterState): readonly string[] {
  if (service.headless) return dnsAnswer(state, service).addresses.toSorted();
  const endpoints = new Map<string, boolean>();
  for (const port of ports) {
    for (const endpoint of port.endpoints) {
      const key = joinHostPort(endpoint.address, endpoint.port);
      endpoints.set(key, endpoints.get(key) === true || isUsed(endpoint));
    }
  }
  const used = [...endpoints].filter(([, isInUse]) => isInUse).map(([key]) => key);
  const rest = endpoints.size - used.length;
  return rest === 0 ? used.sort() : [...used.sort(), `(${rest} not used)`];
}

/** `Local`; `external Local` where the other one differs. */
export function policyText({ externalTrafficPolicy: external, internalTrafficPolicy: internal }: Service): string {
  if (external === internal) return external;
  return external === 'Local' ? 'external Local' : 'internal Local';
}

export function affinityText({ sessionAffinitySeconds: seconds }: Service): string {
  return seconds === undefined ? 'None' : `ClientIP ${seconds}s`;
}

function portObject(port: PlannedPort): object {
  const { family, servicePortName, protocol, path, affinitySeconds } = port;
  return {
    servicePort: servicePortName,
    family,
    protocol,
    path,
    frontends: frontendsOf(port),
    ...(affinitySeconds === undefined ? {} : { affinity: `ClientIP, ${affinitySeconds} s` }),
    endpoints: port.endpoints.map((endpoint) => endpointObject(endpoint, port)),
  };
}

function frontendsOf(port: PlannedPort): readonly object[] {
  const { clusterIp, externalIps, loadBalancerIps, nodePort, sourceRanges } = port;
  const internal = {
    trafficPolicy: port.internalPolicy,
    ...outcomeOf(port, port.internalPolicy, port.internal),
    ...masqueradeOf(port.masqueradeInternal),
  };
  const external = {
    trafficPolicy: port.externalPolicy,
    ...outcomeOf(port, port.externalPolicy, port.external),
    ...masqueradeOf(port.masqueradeExternal),
    ...(port.externalPolicy === 'Local' ? { fromThisNode: `all ${port.clusterEndpoints.length} endpoints` } : {}),
  };
  const ranges = sourceRanges.length === 0 ? {} : { clients: sourceRanges.map(formatCidr) };
  const at = (kind: string, ip: IpAddress, more: object): object => {
    const owner = port.yielded.get(addressFrontend(ip, port.protocol, port.port));
    return { kind, address: joinHostPort(ip, port.port), ...(owner === undefined ? more : yieldedTo(owner)) };
  };
  const nodePortOwner = port.yielded.get(nodePortFrontend(port.family, port.protocol, nodePort));
  return [
    at('ClusterIP', clusterIp, internal),
    ...externalIps.map((ip) => at('external IP', ip, external)),
    ...loadBalancerIps.map((ip) => at('load balancer', ip, { ...external, ...ranges })),
    ...(nodePort === 0
      ? []
      : [
          {
            kind: 'nodePort',
            address: `*:${nodePort}`,
            ...(nodePortOwner === undefined ? external : yieldedTo(nodePortOwner)),
          },
        ]),
  ];
}

function yieldedTo(owner: string): object {
  return { served: false, why: `Service ${owner} claims it too, and has it` };
}

function outcomeOf(port: PlannedPort, policy: 'Cluster' | 'Local', reach: PlannedPort['internal']): object {
  if (reach === 'reject') return { served: false, why: 'no endpoints: clients are refused' };
  if (reach === 'drop') return { served: false, why: 'no endpoints on this node: packets are dropped' };
  const count = (policy === 'Local' ? port.localEndpoints : port.clusterEndpoints).length;
  return { served: true, endpoints: count };
}

function masqueradeOf(who: PlannedPort['masqueradeInternal'] | PlannedPort['masqueradeExternal']): object {
  const words = {
    everybody: 'everybody',
    'not-pods': 'all but pods of this node',
    node: 'this node itself',
    nobody: 'nobody',
  };
  return { masqueraded: words[who] };
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

function isUsed({ inCluster, inLocal }: PlannedEndpoint): boolean {
  return inCluster.used || inLocal.used;
}

const reasons: Readonly<Record<EndpointReason, string>> = {
  ready: 'it is ready',
  'serving-while-terminating': 'it still serves while it terminates, and none is ready',
  'not-ready': 'it is not ready',
  'not-serving': 'it does not serve',
  terminating: 'it terminates, and others are ready',
  'hinted-to-other-node': 'hints keep this node’s traffic on its own endpoints',
  'hinted-to-other-zone': 'hints keep this zone’s traffic on its own endpoints',
  'on-other-node': 'it is on another node',
  'list-not-needed': 'no traffic policy asks for it',
};

function useText({ used, why }: EndpointUse): string {
  return `${used ? 'used' : 'not used'}: ${reasons[why]}`;
}
