/** From a complete cluster to what a lab must build: namespaces, addresses, routes. Pure. */
import type { ContainerPort, Node, Pod } from '../cluster/objects.ts';
import { describeObject, hasEnded, keyOf } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import { vethName } from '../dataplane/names.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { bitsOf, familyOf, gatewayOf, ipFromInteger, ipToInteger } from '../lib/ip.ts';
import { nodeNamespace, outsideNamespace, podNamespace, underlayNamespace } from './names.ts';
import type { LabOptions } from './options.ts';
import { fallbackGateways, outsideAddresses, underlayNetworks } from './options.ts';

export interface LabPlan {
  readonly cni: 'ptp' | 'bridge';
  readonly families: readonly IpFamily[];
  readonly underlay: { readonly netns: string; readonly addresses: readonly IpAddress[] };
  readonly outside: { readonly netns: string; readonly addresses: readonly IpAddress[] };
  /** By name. */
  readonly nodes: ReadonlyMap<string, NodePlan>;
  /** By `namespace/name`: the pods that can be wired. */
  readonly pods: ReadonlyMap<string, PodPlan>;
  /** What could not be wired, and why. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface NodePlan {
  readonly name: string;
  readonly netns: string;
  /** At most one of each family. */
  readonly addresses: readonly IpAddress[];
  readonly podCidrs: readonly Cidr[];
  /** The address that its pods send to, by family. */
  readonly gateways: readonly IpAddress[];
}

export interface PodPlan {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly netns: string;
  readonly node: string;
  readonly hostNetwork: boolean;
  readonly addresses: readonly IpAddress[];
  /** Host side of its veth. */
  readonly hostInterface: string;
  readonly ports: readonly ContainerPort[];
  readonly deployment?: string;
}

/** What a lab of these objects is made of; the same state gives the same plan. A lab that runs keeps the nodes it has: `running`. */
export function planLab(state: ClusterState, options: LabOptions, running?: LabPlan): LabPlan {
  const families = options.ipFamilies;
  const nodeObjects = [...state.nodes.values()].sort(byName);
  const planned = new Map(nodeObjects.map((node) => [node.name, planNode(node, options)]));
  const nodes = running?.nodes ?? planned;
  const { pods, diagnostics } = planPods(state, nodes, options);
  return {
    cni: options.cni,
    families,
    underlay: {
      netns: underlayNamespace(options.name),
      addresses: families.map((family) => routerAddress(family, nodes)),
    },
    outside: {
      netns: outsideNamespace(options.name),
      addresses: families.map((family) => outsideAddresses[family]),
    },
    nodes,
    pods,
    diagnostics: [...nodeDiagnostics(nodeObjects, planned, nodes, families), ...diagnostics],
  };
}

/** True when the pod's wiring or servers differ, so that it must be built anew. */
export function isSamePod(left: PodPlan, right: PodPlan): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** The address of `family`, if there is one. */
export function addressOf(addresses: readonly IpAddress[], family: IpFamily): IpAddress | undefined {
  return addresses.find((address) => familyOf(address) === family);
}

function planNode(node: Node, options: LabOptions): NodePlan {
  const cidrs = options.ipFamilies.flatMap((family) => node.podCidrs.find((cidr) => cidr.family === family) ?? []);
  return {
    name: node.name,
    netns: nodeNamespace(options.name, node.name),
    addresses: options.ipFamilies.flatMap((family) => addressOf(node.addresses, family) ?? []),
    podCidrs: cidrs,
    gateways: options.ipFamilies.map((family) => gatewayIn(family, cidrOfFamily(cidrs, family))),
  };
}

/** The CIDR of `family`, if there is one. */
export function cidrOfFamily(cidrs: readonly Cidr[], family: IpFamily): Cidr | undefined {
  return cidrs.find((cidr) => cidr.family === family);
}

function gatewayIn(family: IpFamily, cidr: Cidr | undefined): IpAddress {
  return cidr === undefined ? fallbackGateways[family] : gatewayOf(cidr);
}

/** The highest address of the underlay that no node has. */
function routerAddress(family: IpFamily, nodes: ReadonlyMap<string, NodePlan>): IpAddress {
  const { address, prefixLength } = underlayNetworks[family];
  const taken = new Set([...nodes.values()].flatMap((node) => node.addresses));
  let candidate = ipToInteger(address) + (1n << BigInt(bitsOf(family) - prefixLength)) - 2n;
  while (taken.has(ipFromInteger(candidate, family))) candidate -= 1n;
  return ipFromInteger(candidate, family);
}

function nodeDiagnostics(
  objects: readonly Node[],
  planned: ReadonlyMap<string, NodePlan>,
  nodes: ReadonlyMap<string, NodePlan>,
  families: readonly IpFamily[],
): readonly Diagnostic[] {
  return objects.flatMap((object) => {
    const node = nodes.get(object.name);
    if (JSON.stringify(node) !== JSON.stringify(planned.get(object.name))) {
      return [notWired(object, 'the nodes of a lab stay as they were at its start; take it down and up again')];
    }
    const missing = families.filter((family) => addressOf(node?.addresses ?? [], family) === undefined);
    return missing.map((family) => notWired(object, `no ${family} address, so its pods reach no other node by it`));
  });
}

function planPods(
  state: ClusterState,
  nodes: ReadonlyMap<string, NodePlan>,
  options: LabOptions,
): { readonly pods: Map<string, PodPlan>; readonly diagnostics: readonly Diagnostic[] } {
  const pods = new Map<string, PodPlan>();
  const diagnostics: Diagnostic[] = [];
  const owners = new Map<IpAddress, string>();
  for (const node of nodes.values()) {
    for (const address of [...node.addresses, ...node.gateways]) owners.set(address, `node ${node.name}`);
  }
  for (const pod of [...state.pods.values()].filter(isAlive).sort(byKey)) {
    const planned = planPod(pod, nodes, owners, options);
    if ('severity' in planned) diagnostics.push(planned);
    else pods.set(planned.key, planned);
  }
  return { pods, diagnostics };
}

function planPod(
  pod: Pod,
  nodes: ReadonlyMap<string, NodePlan>,
  owners: Map<IpAddress, string>,
  options: LabOptions,
): PodPlan | Diagnostic {
  const key = keyOf(pod);
  const node = nodes.get(pod.nodeName ?? '');
  if (node === undefined) return notWired(pod, `node ${pod.nodeName ?? '(none)'} is not part of the lab`);
  const addresses = options.ipFamilies.flatMap((family) => addressOf(pod.ips, family) ?? []);
  if (!pod.hostNetwork) {
    const conflict = addresses.find((address) => owners.has(address));
    if (conflict !== undefined) return notWired(pod, `address ${conflict} is that of ${owners.get(conflict) ?? ''}`);
    for (const address of addresses) owners.set(address, `pod ${key}`);
  }
  return {
    key,
    namespace: pod.namespace,
    name: pod.name,
    netns: podNamespace(options.name, pod.namespace, pod.name),
    node: node.name,
    hostNetwork: pod.hostNetwork,
    addresses: pod.hostNetwork ? node.addresses : addresses,
    hostInterface: vethName(pod.namespace, pod.name),
    ports: pod.ports,
    ...(pod.deployment === undefined ? {} : { deployment: pod.deployment }),
  };
}

/** The outside client answers too, so that a pod's way out can be tried: one web port and one for datagrams. */
export function outsideServer({ outside }: LabPlan): PodPlan {
  return {
    key: 'outside',
    namespace: '',
    name: 'outside',
    netns: outside.netns,
    node: '',
    hostNetwork: false,
    addresses: outside.addresses,
    hostInterface: '',
    ports: [
      { port: 80, protocol: 'TCP' },
      { port: 53, protocol: 'UDP' },
    ],
  };
}

/** A finished pod has no network any more. */
function isAlive(pod: Pod): boolean {
  return !hasEnded(pod);
}

function notWired(object: Node | Pod, message: string): Diagnostic {
  const { location } = object;
  return {
    severity: 'warning',
    object: describeObject(object),
    message: `not wired in the lab: ${message}`,
    ...(location === undefined ? {} : { file: location.file, line: location.line }),
  };
}

function byName(left: Node, right: Node): number {
  return compareText(left.name, right.name);
}

function byKey(left: Pod, right: Pod): number {
  return compareText(keyOf(left), keyOf(right));
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
