/** A small node for tests of the base chains: pods with their interfaces, and a tracer over what the compiler made of them. */
import type { ClusterObject, Node, Pod } from '../../src/cluster/objects.ts';
import { cutSet } from '../../src/compile/base/base-input.ts';
import { type Compilation, compileAll } from '../../src/compile/compiler.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { Dataplane, FamilyTables } from '../../src/dataplane/dataplane.ts';
import type { EndpointBinding, NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import type { Hook } from '../../src/dataplane/rule.ts';
import { type PacketFields, packetOf } from '../../src/dataplane/trace/packet.ts';
import { NodeTracer, type Route } from '../../src/dataplane/trace/tracer.ts';
import { cidr, ip, namespace } from '../policy/objects.ts';
import { seedOptions, storeOf } from './seed-cluster.ts';

export const nodeOptions: CompileOptions = { ...seedOptions, nodeName: 'node-a', ipFamilies: ['ipv4', 'ipv6'] };

/** 10.9.0.0/24 and fd09::/64 are the pods', 10.9.0.1 the gateway, 192.0.2.1 the node. */
export const nodeObject: Node = {
  kind: 'Node',
  name: 'node-a',
  labels: {},
  addresses: [ip('192.0.2.1'), ip('2001:db8::1')],
  podCidrs: [cidr('10.9.0.0/24'), cidr('fd09::/64')],
};

export interface NodePod {
  readonly pod: Pod;
  /** Absent: the node has no way to it yet. */
  readonly binding?: EndpointBinding;
}

export const routed = (name: string): EndpointBinding => ({ kind: 'routed', interface: name });
export const bridged = (port?: string): EndpointBinding => ({
  kind: 'bridged',
  bridge: 'cni0',
  ...(port === undefined ? {} : { port }),
});

export function factsOf(pods: readonly NodePod[]): NodeFacts {
  const bindings = pods.flatMap(({ pod, binding }) =>
    binding === undefined ? [] : pod.ips.map((address) => [address, binding] as const),
  );
  return { bindings: new Map(bindings), nodeAddresses: nodeObject.addresses, conntrackLiberal: false };
}

/** What happens in the kernel besides what the compiler made. */
export interface KernelChanges {
  /** Rules that another program put above ours. */
  readonly foreign?: readonly Hook[];
  /** Members of cali40cut. */
  readonly cut?: readonly string[];
}

export interface TestNode extends Compilation {
  /** What becomes of a packet that comes in from outside or from a pod. */
  receive(fields: PacketFields): string;
  /** What becomes of a packet of a program on the node. */
  send(fields: PacketFields): string;
}

export function testNode(
  pods: readonly NodePod[],
  objects: readonly ClusterObject[] = [],
  options: Partial<CompileOptions> = {},
  changes: KernelChanges = {},
): TestNode {
  const store = storeOf([namespace('a'), nodeObject, ...pods.map(({ pod }) => pod), ...objects]);
  const compilation = compileAll(store, { ...nodeOptions, ...options }, factsOf(pods));
  const tracer = new NodeTracer(withChanges(compilation.dataplane, changes), {
    isOwnAddress: (address) => ['10.9.0.1', 'fd09::ffff', ...nodeObject.addresses].includes(address),
    route: (address) => routeTo(pods, address),
  });
  return {
    ...compilation,
    receive: (fields) => tracer.receive(packetOf(fields)).verdict,
    send: (fields) => tracer.send(packetOf(fields)).verdict,
  };
}

function routeTo(pods: readonly NodePod[], address: string): Route {
  const binding = pods.find(({ pod }) => pod.ips.some((own) => own === address))?.binding;
  if (binding === undefined) return { outInterface: address.startsWith('10.9.') ? 'cni0' : 'eth0' };
  if (binding.kind === 'routed') return { outInterface: binding.interface };
  return { outInterface: binding.bridge, ...(binding.port === undefined ? {} : { outPort: binding.port }) };
}

function withChanges({ ipSets, tables }: Dataplane, { foreign = [], cut = [] }: KernelChanges): Dataplane {
  const above = (family: FamilyTables): FamilyTables => ({ ...family, hooks: [...foreign, ...family.hooks] });
  const filled = [...ipSets].map(
    ([name, set]) => [name, name === cutSet('ipv4') ? { ...set, members: new Set(cut) } : set] as const,
  );
  return { ipSets: new Map(filled), tables: { ipv4: above(tables.ipv4), ipv6: above(tables.ipv6) } };
}
