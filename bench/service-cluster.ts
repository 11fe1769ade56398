/** A synthetic cluster of Services: N with M endpoints each, all addresses different. */
import type { ClusterObject, EndpointSlice, Node, Service } from '../src/cluster/objects.ts';
import { type Cidr, type IpAddress, ipFromInteger, ipToInteger, parseCidr, parseIp } from '../src/lib/ip.ts';

export interface ServiceSize {
  readonly services: number;
  readonly endpoints: number;
}

export const benchNode = 'node-0';
export const servicePort = 80;
/** Where every endpoint listens. */
export const endpointPort = 8080;
/** Every endpoint address lies in it. */
export const endpointCidr = mustCidr('10.128.0.0/9');
/** Every cluster IP lies in it. */
export const serviceCidr = mustCidr('10.96.0.0/12');
const namespaces = 50;

/** Nodes, then each Service with its slice. */
export function* serviceCluster({ services, endpoints }: ServiceSize): Generator<ClusterObject> {
  yield node;
  for (let index = 0; index < services; index++) {
    yield serviceAt(index);
    yield sliceAt(
      index,
      Array.from({ length: endpoints }, (_, member) => endpointAddress(index * endpoints + member)),
    );
  }
}

export function serviceAt(index: number): Service {
  return {
    kind: 'Service',
    namespace: namespaceOf(index),
    name: `service-${index}`,
    labels: {},
    type: 'ClusterIP',
    clusterIps: [clusterIp(index)],
    headless: false,
    externalIps: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    ports: [{ name: 'http', protocol: 'TCP', port: servicePort, targetPort: endpointPort, nodePort: 0 }],
    selector: { app: `app-${index}` },
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
  };
}

export function sliceAt(index: number, addresses: readonly IpAddress[]): EndpointSlice {
  return {
    kind: 'EndpointSlice',
    namespace: namespaceOf(index),
    name: `service-${index}-a`,
    labels: {},
    service: `service-${index}`,
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: endpointPort }],
    endpoints: addresses.map((address, member) => ({
      addresses: [address],
      ready: true,
      serving: true,
      terminating: false,
      nodeName: `node-${1 + ((index + member) % 100)}`,
      hintZones: [],
      hintNodes: [],
      pod: `${namespaceOf(index)}/pod-${index}-${member}`,
    })),
  };
}

export function clusterIp(index: number): IpAddress {
  return ipFromInteger(ipToInteger(serviceCidr.address) + BigInt(index + 1), 'ipv4');
}

export function endpointAddress(index: number): IpAddress {
  return ipFromInteger(ipToInteger(endpointCidr.address) + BigInt(index + 1), 'ipv4');
}

function namespaceOf(index: number): string {
  return `namespace-${index % namespaces}`;
}

const node: Node = {
  kind: 'Node',
  name: benchNode,
  labels: {},
  addresses: [mustIp('172.31.255.2')],
  podCidrs: [mustCidr('10.244.0.0/24')],
};

function mustIp(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}

function mustCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`not a CIDR: ${text}`);
  return cidr;
}
