/** The bench's objects as an API server tells them. */
import type { ClusterObject, EndpointSlice, Node, Service } from '../src/cluster/objects.ts';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
  readonly spec?: unknown;
  readonly status?: unknown;
}

export function kubernetesObject(object: ClusterObject): KubernetesObject {
  switch (object.kind) {
    case 'Node':
      return nodeObject(object);
    case 'Service':
      return serviceObject(object);
    case 'EndpointSlice':
      return sliceObject(object);
    default:
      throw new Error(`a bench of Services holds no ${object.kind}`);
  }
}

function nodeObject({ name, addresses }: Node): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid: `node-${name}` },
    spec: {},
    status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
  };
}

function serviceObject({ namespace, name, clusterIps, ports, selector }: Service): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name, uid: `service-${namespace}-${name}` },
    spec: {
      type: 'ClusterIP',
      clusterIP: clusterIps[0],
      clusterIPs: clusterIps,
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      selector,
      ports: ports.map(({ name: port, protocol, port: number, targetPort }) => ({
        name: port,
        protocol,
        port: number,
        targetPort,
      })),
    },
  };
}

function sliceObject(slice: EndpointSlice): KubernetesObject & Readonly<Record<string, unknown>> {
  const { namespace, name, service, addressType, ports, endpoints } = slice;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name, uid: `slice-${namespace}-${name}`, labels: { 'kubernetes.io/service-name': service } },
    addressType,
    ports: ports.map(({ name: port, protocol, port: number }) => ({ name: port, protocol, port: number })),
    endpoints: endpoints.map(({ addresses, ready, serving, terminating, nodeName }) => ({
      addresses,
      conditions: { ready, serving, terminating },
      nodeName,
    })),
  };
}
