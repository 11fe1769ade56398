/** The lines for `ip -batch` that build what a plan says. Pure; every address is added without duplicate detection, which would cost a second each. */
import { createHash } from 'node:crypto';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { bitsOf, cidrContains, familyOf, formatCidr } from '../lib/ip.ts';
import { outsideNetworks, outsideRouterAddresses, underlayNetworks } from './options.ts';
import type { LabPlan, NodePlan, PodPlan } from './plan.ts';
import { addressOf, cidrOfFamily } from './plan.ts';

/** Lines for one `ip -n NETNS -batch`. */
export interface Batch {
  readonly netns: string;
  readonly lines: readonly string[];
}

/** The underlay with its router and outside client, and the nodes' uplinks: in this order. The namespaces exist. */
export function networkBatches(plan: LabPlan): readonly Batch[] {
  return [
    { netns: plan.underlay.netns, lines: underlayLines(plan) },
    { netns: plan.outside.netns, lines: outsideLines(plan) },
    ...[...plan.nodes.values()].map((node) => ({ netns: node.netns, lines: nodeLines(plan, node) })),
  ];
}

/** For the node's namespace, where the pod's namespace exists: veth pair, and the route or bridge port. */
export function podLinkLines(plan: LabPlan, pod: PodPlan): readonly string[] {
  const node = plan.nodes.get(pod.node);
  if (pod.hostNetwork || node === undefined || pod.addresses.length === 0) return [];
  const host = pod.hostInterface;
  const pair = `link add ${host} type veth peer name eth0 netns ${pod.netns}`;
  if (plan.cni === 'bridge') {
    return [
      pair,
      `link set ${host} addrgenmode none`,
      `link set ${host} master cni0 up`,
      ...strayAddresses(node, pod).map((address) => `route replace ${host32(address)} dev cni0`),
    ];
  }
  return [
    pair,
    ...linkUpLines(plan, node.netns, host),
    ...pod.addresses.flatMap((address) => [
      `addr add ${host32(gatewayFor(node, address))} dev ${host}${nodad(address)}`,
      `route replace ${host32(address)} dev ${host}`,
    ]),
  ];
}

/** For the pod's own namespace, after `podLinkLines`. */
export function podInnerLines(plan: LabPlan, pod: PodPlan): readonly string[] {
  const node = plan.nodes.get(pod.node);
  if (pod.hostNetwork || node === undefined) return [];
  if (pod.addresses.length === 0) return ['link set lo up'];
  return [
    'link set lo up',
    ...linkUpLines(plan, pod.netns, 'eth0'),
    ...pod.addresses.flatMap((address) => {
      const gateway = gatewayFor(node, address);
      const cidr = cidrOfFamily(node.podCidrs, familyOf(address));
      const onLink = plan.cni === 'bridge' && cidr !== undefined && cidrContains(cidr, address);
      const length = onLink ? cidr.prefixLength : bitsOf(familyOf(address));
      return [
        `addr add ${address}/${length} dev eth0${nodad(address)}`,
        ...(onLink ? [] : [`route add ${host32(gateway)} dev eth0`]),
        `route add default via ${gateway} dev eth0`,
      ];
    }),
  ];
}

/** For the node's namespace: the other end and the routes go with the device. */
export function podUnlinkLines(pod: PodPlan): readonly string[] {
  return pod.hostNetwork || pod.addresses.length === 0 ? [] : [`link del ${pod.hostInterface}`];
}

/** Routes of every namespace but its own node's to pod addresses that lie outside the node's CIDR. */
export function strayRouteBatches(plan: LabPlan, pod: PodPlan, verb: 'replace' | 'del'): readonly Batch[] {
  const node = plan.nodes.get(pod.node);
  if (pod.hostNetwork || node === undefined) return [];
  const stray = strayAddresses(node, pod);
  if (stray.length === 0) return [];
  const others = [...plan.nodes.values()].filter((other) => other.name !== node.name).map((other) => other.netns);
  return [plan.underlay.netns, ...others].map((netns) => {
    const device = netns === plan.underlay.netns ? 'br0' : 'eth0';
    return { netns, lines: stray.flatMap((address) => viaNode(node, host32(address), device, verb)) };
  });
}

function strayAddresses(node: NodePlan, pod: PodPlan): readonly IpAddress[] {
  return pod.addresses.filter((address) => !node.podCidrs.some((cidr) => cidrContains(cidr, address)));
}

function underlayLines(plan: LabPlan): readonly string[] {
  const { nodes, outside, underlay } = plan;
  const ports = [...nodes.values()].flatMap((node, index) => [
    `link add node${index} type veth peer name eth0 netns ${node.netns}`,
    `link set node${index} addrgenmode none`,
    `link set node${index} master br0 up`,
  ]);
  return [
    'link set lo up',
    `link add br0 address ${macAddress(underlay.netns)} type bridge`,
    ...linkUpLines(plan, underlay.netns, 'br0'),
    ...ports,
    `link add outside type veth peer name eth0 netns ${outside.netns}`,
    ...linkUpLines(plan, underlay.netns, 'outside'),
    ...plan.families.map(
      (family) =>
        `addr add ${outsideRouterAddresses[family]}/${outsideNetworks[family].prefixLength} dev outside${nodadFor(family)}`,
    ),
    ...underlay.addresses.map((address) => `addr add ${address}/${underlayLength(address)} dev br0${nodad(address)}`),
    ...[...nodes.values()].flatMap((node) => peerLines(node, 'br0')),
  ];
}

function outsideLines(plan: LabPlan): readonly string[] {
  return [
    'link set lo up',
    ...linkUpLines(plan, plan.outside.netns, 'eth0'),
    ...plan.outside.addresses.flatMap((address) => [
      `addr add ${address}/${outsideNetworks[familyOf(address)].prefixLength} dev eth0${nodad(address)}`,
      `route add default via ${outsideRouterAddresses[familyOf(address)]}`,
    ]),
  ];
}

function nodeLines(plan: LabPlan, node: NodePlan): readonly string[] {
  const routers = node.addresses.map((address) => {
    const router = addressOf(plan.underlay.addresses, familyOf(address)) ?? address;
    return `route add default via ${router} dev eth0 onlink`;
  });
  return [
    'link set lo up',
    ...linkUpLines(plan, node.netns, 'eth0'),
    ...node.addresses.map((address) => `addr add ${address}/${nodeLength(address)} dev eth0${nodad(address)}`),
    ...routers,
    ...[...plan.nodes.values()].filter((peer) => peer.name !== node.name).flatMap((peer) => peerLines(peer, 'eth0')),
    ...(plan.cni === 'bridge' ? bridgeLines(plan, node) : []),
  ];
}

/** What everybody else on the underlay needs to reach a node and its pods. */
function peerLines(node: NodePlan, device: string): readonly string[] {
  const direct = node.addresses
    .filter((address) => !cidrContains(underlayNetworks[familyOf(address)], address))
    .map((address) => `route add ${host32(address)} dev ${device}`);
  const pods = node.podCidrs.flatMap((cidr) => viaNode(node, formatCidr(cidr), device, 'replace'));
  return [...direct, ...pods];
}

/** A route by way of the node; none where the node has no address of that family. */
function viaNode(node: NodePlan, prefix: string, device: string, verb: 'replace' | 'del'): readonly string[] {
  const via = addressOf(node.addresses, prefix.includes(':') ? 'ipv6' : 'ipv4');
  if (via === undefined) return [];
  return [`route ${verb} ${prefix} via ${via} dev ${device}${verb === 'del' ? '' : ' onlink'}`];
}

/** As the bridge plugin makes it: gateway address, hairpin off (the ports' default), an address of its own that no port changes. */
function bridgeLines(plan: LabPlan, node: NodePlan): readonly string[] {
  return [
    `link add cni0 address ${macAddress(node.netns)} type bridge`,
    ...linkUpLines(plan, node.netns, 'cni0'),
    ...node.gateways.map((gateway) => {
      const cidr = cidrOfFamily(node.podCidrs, familyOf(gateway));
      return `addr add ${gateway}/${cidr?.prefixLength ?? bitsOf(familyOf(gateway))} dev cni0${nodad(gateway)}`;
    }),
  ];
}

/** Up, with a link-local address that is usable at once (or none where the lab has no IPv6). */
function linkUpLines(plan: LabPlan, netns: string, device: string): readonly string[] {
  const lines = [`link set ${device} addrgenmode none`, `link set ${device} up`];
  if (!plan.families.includes('ipv6')) return lines;
  return [...lines, `addr add ${linkLocal(`${netns} ${device}`)}/64 dev ${device} nodad`];
}

function linkLocal(seed: string): string {
  const digest = createHash('sha256').update(seed).digest('hex');
  return `fe80::${[0, 4, 8, 12].map((at) => digest.slice(at, at + 4)).join(':')}`;
}

function macAddress(seed: string): string {
  const digest = createHash('sha256').update(seed).digest('hex');
  return `02:${[0, 2, 4, 6, 8].map((at) => digest.slice(at, at + 2)).join(':')}`;
}

function gatewayFor(node: NodePlan, address: IpAddress): IpAddress {
  return addressOf(node.gateways, familyOf(address)) ?? address;
}

/** A node address that the manifests chose may lie outside the underlay's network: then it is alone in its own. */
function nodeLength(address: IpAddress): number {
  const family = familyOf(address);
  return cidrContains(underlayNetworks[family], address) ? underlayNetworks[family].prefixLength : bitsOf(family);
}

function underlayLength(address: IpAddress): number {
  return underlayNetworks[familyOf(address)].prefixLength;
}

function host32(address: IpAddress): string {
  return `${address}/${bitsOf(familyOf(address))}`;
}

function nodad(address: IpAddress): string {
  return nodadFor(familyOf(address));
}

function nodadFor(family: IpFamily): string {
  return family === 'ipv6' ? ' nodad' : '';
}
