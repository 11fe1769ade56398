/** Small complete clusters for the lab's tests, made without manifests. */
import type { ClusterObject, ContainerPort, Node, Pod, Service } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { cidr, ip } from '../addresses.ts';

export { cidr, ip };

export function node(name: string, addresses: readonly string[], podCidrs: readonly string[]): Node {
  return { kind: 'Node', name, labels: {}, addresses: addresses.map(ip), podCidrs: podCidrs.map(cidr) };
}

export function pod(name: string, nodeName: string, ips: readonly string[], more: Partial<Pod> = {}): Pod {
  return {
    kind: 'Pod',
    namespace: 'default',
    name,
    labels: {},
    serviceAccount: 'default',
    nodeName,
    hostNetwork: false,
    ips: ips.map(ip),
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: web,
    allowedSources: [],
    ...more,
  };
}

export const web: readonly ContainerPort[] = [
  { port: 80, protocol: 'TCP' },
  { port: 53, protocol: 'UDP' },
];

export function service(name: string, clusterIps: readonly string[], more: Partial<Service> = {}): Service {
  return {
    kind: 'Service',
    namespace: 'default',
    name,
    labels: {},
    type: 'ClusterIP',
    clusterIps: clusterIps.map(ip),
    headless: clusterIps.length === 0,
    externalIps: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    ports: [{ name: '', protocol: 'TCP', port: 80, targetPort: 80, nodePort: 0 }],
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
    ...more,
  };
}

export function clusterOf(...objects: readonly ClusterObject[]): ClusterStore {
  const store = new ClusterStore();
  store.apply(objects.map((object) => ({ type: 'set', object })));
  return store;
}
