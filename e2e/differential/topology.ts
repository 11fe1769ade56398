/** The small world that every cluster lives in: one node under test, a network behind it, and who has which address. */
import type { IpFamily } from '../../src/lib/ip.ts';

/** One address in each family. */
export type Addresses = Readonly<Record<IpFamily, string>>;

export const families: readonly IpFamily[] = ['ipv4', 'ipv6'];

export const nodeName = 'node1';
export const otherNodeName = 'node2';
export const zones = ['zone-a', 'zone-b'] as const;

export const clusterCidrs: Addresses = { ipv4: '10.244.0.0/16', ipv6: 'fd00:10:244::/48' };
export const podCidrs: Addresses = { ipv4: '10.244.1.0/24', ipv6: 'fd00:10:244:1::/64' };
export const otherPodCidrs: Addresses = { ipv4: '10.244.2.0/24', ipv6: 'fd00:10:244:2::/64' };
/** The node's address towards its pods. */
export const gateway: Addresses = { ipv4: '10.244.1.1', ipv6: 'fd00:10:244:1::1' };

export const underlayCidrs: Addresses = { ipv4: '172.31.77.0/24', ipv6: 'fd00:172:31:77::/64' };
export const routerAddresses: Addresses = { ipv4: '172.31.77.1', ipv6: 'fd00:172:31:77::1' };
export const nodeAddresses: Addresses = { ipv4: '172.31.77.2', ipv6: 'fd00:172:31:77::2' };
export const outsideCidrs: Addresses = { ipv4: '198.18.0.0/24', ipv6: 'fd00:198:18::/64' };
export const outsideAddresses: Addresses = { ipv4: '198.18.0.2', ipv6: 'fd00:198:18::2' };
export const outsideGateways: Addresses = { ipv4: '198.18.0.1', ipv6: 'fd00:198:18::1' };
/** A client further away, for the tracer alone. */
export const farAddresses: Addresses = { ipv4: '203.0.113.200', ipv6: '2001:db8:ffff::200' };

/** The cluster's ServiceCIDRs. */
export const serviceCidrs: readonly string[] = ['10.96.0.0/16', 'fd00:10:96::/112'];
/** Where ClusterIPs, external and load balancer addresses are taken from; the router sends them to the node. */
export const clusterIpPrefixes: Addresses = { ipv4: '10.96', ipv6: 'fd00:10:96' };
export const externalPrefixes: Addresses = { ipv4: '192.0.2', ipv6: '2001:db8:1' };
export const balancerPrefixes: Addresses = { ipv4: '203.0.113', ipv6: '2001:db8:2' };
export const serviceRoutes: readonly string[] = [
  '10.96.0.0/12',
  'fd00:10:96::/108',
  '192.0.2.0/24',
  '203.0.113.0/24',
  '2001:db8:1::/64',
  '2001:db8:2::/64',
];

export interface Machine {
  readonly name: string;
  readonly node: string;
  readonly addresses: Addresses;
}

/** Pods with servers, on the node under test and behind the network. */
export const localPods: readonly Machine[] = [1, 2, 3].map((index) => pod(`local${index}`, nodeName, 1, 10 + index));
export const remotePods: readonly Machine[] = [1, 2, 3].map((index) =>
  pod(`far${index}`, otherNodeName, 2, 10 + index),
);
/** A pod of the node under test that only asks. */
export const clientPod: Machine = pod('client', nodeName, 1, 20);
/** A pod of the host network. */
export const hostPod: Machine = { name: 'host', node: nodeName, addresses: nodeAddresses };

/** What the servers listen on; everything else is closed. */
export const serverPorts: readonly { readonly port: number; readonly protocol: 'TCP' | 'UDP' }[] = [
  { port: 8080, protocol: 'TCP' },
  { port: 9090, protocol: 'TCP' },
  { port: 8080, protocol: 'UDP' },
  { port: 5353, protocol: 'UDP' },
];

/** Endpoints that nobody is at. */
export function ghost(index: number, node: string): Machine {
  return pod(`ghost${index}`, node, node === nodeName ? 1 : 9, 100 + index);
}

function pod(name: string, node: string, network: number, host: number): Machine {
  const addresses = { ipv4: `10.244.${network}.${host}`, ipv6: `fd00:10:244:${network}::${host.toString(16)}` };
  return { name, node, addresses };
}
