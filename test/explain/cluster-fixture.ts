/** Clusters in few words, for the tests of explain. */
import type {
  EndpointSlice,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  PolicyPeer,
  PolicyRule,
  Service,
} from '../../src/cluster/objects.ts';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { parseCidr } from '../../src/lib/ip.ts';
import { ip } from '../addresses.ts';

export { ip };

export const options: CompileOptions = {
  nodeName: 'a',
  ipFamilies: ['ipv4', 'ipv6'],
  podStart: 'closed',
  established: 'cut',
  hostEgress: 'policed',
  hostEndpointAction: 'return',
  invalidDrop: true,
  interfacePrefixes: [],
};

export function namespace(name: string, labels: Labels = {}): Namespace {
  return { kind: 'Namespace', name, labels: { 'kubernetes.io/metadata.name': name, ...labels } };
}

export function node(name: string, addresses: readonly string[], podCidrs: readonly string[]): Node {
  const cidrs = podCidrs.flatMap((text) => parseCidr(text) ?? []);
  return { kind: 'Node', name, labels: {}, addresses: addresses.map(ip), podCidrs: cidrs };
}

/** `ns/name` on a node. */
export function pod(key: string, nodeName: string, addresses: readonly string[], more: Partial<Pod> = {}): Pod {
  const [space = '', name = ''] = key.split('/');
  return {
    kind: 'Pod',
    namespace: space,
    name,
    labels: { app: name },
    serviceAccount: 'default',
    nodeName,
    hostNetwork: false,
    ips: addresses.map(ip),
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: [],
    allowedSources: [],
    ...more,
  };
}

export const selects = (labels: Labels): LabelSelector => ({ matchLabels: labels, matchExpressions: [] });

export function podsPeer(path: string, labels: Labels): PolicyPeer {
  return { kind: 'pods', path, podSelector: selects(labels) };
}

export function policy(key: string, labels: Labels, more: Partial<NetworkPolicy> = {}): NetworkPolicy {
  const [space = '', name = ''] = key.split('/');
  return {
    kind: 'NetworkPolicy',
    namespace: space,
    name,
    podSelector: selects(labels),
    isolatesIngress: true,
    isolatesEgress: false,
    ingress: [],
    egress: [],
    ...more,
  };
}

export function ingressRule(index: number, labels: Labels, port?: number): PolicyRule {
  const path = `spec.ingress[${index}]`;
  const ports =
    port === undefined
      ? {}
      : { ports: [{ kind: 'range', protocol: 'TCP', first: port, last: port, path: `${path}.ports[0]` } as const] };
  return { path, peers: [podsPeer(`${path}.from[0]`, labels)], ...ports };
}

export function service(key: string, clusterIp: string, more: Partial<Service> = {}): Service {
  const [space = '', name = ''] = key.split('/');
  return {
    kind: 'Service',
    namespace: space,
    name,
    labels: {},
    type: 'ClusterIP',
    clusterIps: [ip(clusterIp)],
    headless: false,
    externalIps: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 0 }],
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    ...more,
  };
}

export function endpoints(key: string, addresses: readonly string[], port = 8080, portName = ''): EndpointSlice {
  const [space = '', name = ''] = key.split('/');
  return {
    kind: 'EndpointSlice',
    namespace: space,
    name: `${name}-1`,
    labels: {},
    service: name,
    addressType: 'IPv4',
    ports: [{ name: portName, protocol: 'TCP', port }],
    endpoints: addresses.map((address) => ({
      addresses: [ip(address)],
      ready: true,
      serving: true,
      terminating: false,
      hintZones: [],
      hintNodes: [],
    })),
  };
}

export function stateOf(objects: readonly ClusterObject[]): ClusterStore {
  const store = new ClusterStore();
  store.apply(objects.map((object) => ({ type: 'set', object })));
  return store;
}

export function clusterOf(objects: readonly ClusterObject[], more: Partial<CompileOptions> = {}): ClusterModel {
  const optionsOf = (nodeName: string) => ({ ...options, ...more, nodeName });
  return modelOf({ state: stateOf(objects), optionsOf });
}
