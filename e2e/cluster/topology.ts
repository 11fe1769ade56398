/**
 * The cluster's network: one namespace in the middle with a bridge (the control plane's and the suites' place), one
 * namespace for each node, joined to it. Nothing of it touches the machine's own namespace.
 */
import { run } from '../../src/backends/exec.ts';
import type { Estate } from './estate.ts';

export interface NodePlace {
  /** Name of the Node and host name. */
  readonly name: string;
  readonly netns: string;
  readonly address: string;
  readonly podCidr: string;
}

export interface Topology {
  readonly rootNetns: string;
  /** The control plane's address, and the nodes' default gateway. */
  readonly rootAddress: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  /** Address of the cluster's DNS Service. */
  readonly dnsAddress: string;
  readonly nodes: readonly NodePlace[];
}

const prefixLength = 24;

/** Names and addresses of a cluster; `name` begins every namespace's name. */
export function planTopology(name: string, nodeCount: number): Topology {
  return {
    rootNetns: `${name}-root`,
    rootAddress: '172.30.0.1',
    podCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    dnsAddress: '10.96.0.10',
    nodes: Array.from({ length: nodeCount }, (_, index) => ({
      name: `node-${index + 1}`,
      netns: `${name}-node-${index + 1}`,
      address: `172.30.0.${index + 11}`,
      podCidr: `10.244.${index + 1}.0/24`,
    })),
  };
}

/** The namespace in the middle. */
export async function makeRoot(estate: Estate, topology: Topology): Promise<void> {
  const { rootNetns, rootAddress } = topology;
  await makeNetns(estate, rootNetns);
  await ip(rootNetns, [
    'link add br0 type bridge',
    `addr add ${rootAddress}/${prefixLength} dev br0`,
    'link set br0 up',
    // What belongs to no node has no way out: an address outside the cluster is unreachable at once, not after a timeout.
    'route add unreachable default metric 1000',
    ...topology.nodes.map(({ podCidr, address }) => `route add ${podCidr} via ${address}`),
  ]);
}

/** One node's namespace with `eth0`, a route to every other node's pods, and forwarding on. */
export async function makeNodeNetns(estate: Estate, topology: Topology, node: NodePlace): Promise<void> {
  const { rootNetns, rootAddress, nodes } = topology;
  await makeNetns(estate, node.netns);
  await ip(rootNetns, [
    `link add ${node.name} type veth peer name eth0 netns ${node.netns}`,
    `link set ${node.name} master br0`,
    `link set ${node.name} up`,
  ]);
  await ip(node.netns, [
    `addr add ${node.address}/${prefixLength} dev eth0`,
    'link set eth0 up',
    `route add default via ${rootAddress}`,
    ...nodes.filter((other) => other !== node).map((other) => `route add ${other.podCidr} via ${other.address}`),
  ]);
  await setNetSysctls(node.netns, { 'net.ipv4.ip_forward': '1', 'net.bridge.bridge-nf-call-iptables': '1' });
}

/** Takes a node's namespace away, with its end of the cable. */
export async function deleteNodeNetns(topology: Topology, node: NodePlace): Promise<void> {
  await run(['ip', '-n', topology.rootNetns, 'link', 'del', node.name]);
  await run(['ip', 'netns', 'del', node.netns]);
}

async function makeNetns(estate: Estate, name: string): Promise<void> {
  estate.record({ kind: 'netns', name });
  await run(['ip', 'netns', 'add', name]);
  await ip(name, ['link set lo up']);
}

async function ip(netns: string, lines: readonly string[]): Promise<void> {
  await run(['ip', '-n', netns, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
}

async function setNetSysctls(netns: string, values: Readonly<Record<string, string>>): Promise<void> {
  const settings = Object.entries(values).map(([name, value]) => `${name}=${value}`);
  await run(['nsenter', `--net=/run/netns/${netns}`, 'sysctl', '-q', '-w', ...settings]);
}
