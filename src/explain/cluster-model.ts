/** A cluster as packets meet it: who owns an address, where its node sends it, and every node's rules, compiled when first asked for. */
import type { Pod, Service } from '../cluster/objects.ts';
import { hasEnded } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import { vethName } from '../dataplane/names.ts';
import type { Host, Route } from '../dataplane/trace/tracer.ts';
import { NodeTracer } from '../dataplane/trace/tracer.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { cidrContains, familyOf, parseIp } from '../lib/ip.ts';
import type { PolicyPlan } from '../policy/plan.ts';
import type { ServicePlan } from '../service/plan.ts';
import { nodeNamesOf } from './names.ts';

/** What a node would have in its kernel, and what it knows about itself. */
export interface CompiledNode {
  readonly dataplane: Dataplane;
  readonly policyPlan: Pick<PolicyPlan, 'endpoints' | 'policies'>;
  /** Absent: nothing is known of Services. */
  readonly servicePlan?: ServicePlan;
  readonly facts: NodeFacts;
}

export interface ClusterModelOptions {
  readonly state: ClusterState;
  /** Called at most once for each node, when a packet first meets it. */
  readonly compileNode: (name: string) => CompiledNode;
  /** Clients outside the cluster, one of a family; the lab's by default. */
  readonly outside?: readonly IpAddress[];
  /** Where ClusterIPs come from, if no ServiceCIDR says it; absent: nobody knows. */
  readonly serviceCidrs?: readonly Cidr[];
}

/** How a pod's packets reach its node's network stack. */
export interface Attachment {
  readonly inInterface: string;
  readonly inPort?: string;
}

export interface NodeModel {
  readonly name: string;
  readonly tracer: NodeTracer;
  readonly policyPlan: CompiledNode['policyPlan'];
  readonly servicePlan?: ServicePlan;
  /** All its own. */
  readonly addresses: readonly IpAddress[];
  /** Where the node sends from when it speaks to others. */
  addressOf(family: IpFamily): IpAddress | undefined;
  attachmentOf(pod: Pod, address: IpAddress): Attachment;
}

export type AddressOwner =
  /** Several pods may have one address for a while; the first is the one that packets reach. */
  | { readonly kind: 'pod'; readonly pod: Pod }
  | { readonly kind: 'node'; readonly name: string }
  /** ClusterIP, external or load balancer address. */
  | { readonly kind: 'service'; readonly service: Service };

/** Every node's way to other nodes; the name means nothing to any rule of ours. */
export const uplinkName = 'eth0';

const defaultOutside = ['172.31.254.2', 'fd00:172:31:254::2'];

/** A snapshot: when the state changes, a new model is made. */
export class ClusterModel {
  readonly state: ClusterState;
  readonly nodeNames: readonly string[];
  readonly outside: readonly IpAddress[];
  readonly #compileNode: (name: string) => CompiledNode;
  readonly #nodes = new Map<string, NodeModel>();
  readonly #owners: ReadonlyMap<IpAddress, AddressOwner>;
  readonly #podCidrs: readonly Cidr[];
  readonly #serviceCidrs: readonly Cidr[];

  constructor({ state, compileNode, outside, serviceCidrs = [] }: ClusterModelOptions) {
    this.state = state;
    this.#compileNode = compileNode;
    this.nodeNames = nodeNamesOf(state);
    this.outside = outside ?? defaultOutside.flatMap((text) => parseIp(text) ?? []);
    this.#owners = ownersOf(state);
    this.#podCidrs = [...state.nodes.values()].flatMap(({ podCidrs }) => podCidrs);
    const stated = [...state.serviceCidrs.values()].flatMap(({ cidrs }) => cidrs);
    this.#serviceCidrs = stated.length > 0 ? stated : serviceCidrs;
  }

  node(name: string): NodeModel {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const made = makeNode(name, this.#compileNode(name), this);
    this.#nodes.set(name, made);
    return made;
  }

  /** By `Service namespace/name`, as rules name what asked for them. */
  serviceCalled(object: string): Service | undefined {
    const [kind, key] = object.split(' ');
    return kind === 'Service' && key !== undefined ? this.state.services.get(key) : undefined;
  }

  ownerOf(address: IpAddress): AddressOwner | undefined {
    return this.#owners.get(address);
  }

  /** The node that has an address for itself: one that the cluster knows it by, or the one that its pods send to. */
  nodeAt(address: IpAddress): string | undefined {
    const owner = this.ownerOf(address);
    if (owner !== undefined) return owner.kind === 'node' ? owner.name : undefined;
    const nodes = [...this.state.nodes.values()].filter(({ podCidrs }) =>
      podCidrs.some((cidr) => cidrContains(cidr, address)),
    );
    return nodes.find(({ name }) => this.node(name).addresses.includes(address))?.name;
  }

  /** Where a pod would be: an address there that nobody owns is nobody's. */
  isInPodCidr(address: IpAddress): boolean {
    return this.#podCidrs.some((cidr) => cidrContains(cidr, address));
  }

  /** Where a ClusterIP would be. */
  isInServiceCidr(address: IpAddress): boolean {
    return this.#serviceCidrs.some((cidr) => cidrContains(cidr, address));
  }

  /** An address for pods that no pod has, nor a node that a packet has met: whatever refuses a packet to it, nobody would have been there. */
  isNobodys(address: IpAddress): boolean {
    if (this.#owners.has(address) || !this.isInPodCidr(address)) return false;
    return ![...this.#nodes.values()].some(({ addresses }) => addresses.includes(address));
  }

  outsideAddress(family: IpFamily): IpAddress | undefined {
    return this.outside.find((address) => familyOf(address) === family);
  }
}

/** In the pod network, with an address and a node: it can send and be reached. */
export function isReachable(pod: Pod): boolean {
  return !pod.hostNetwork && !hasEnded(pod) && pod.ips.length > 0 && pod.nodeName !== undefined;
}

function ownersOf(state: ClusterState): ReadonlyMap<IpAddress, AddressOwner> {
  const owners = new Map<IpAddress, AddressOwner>();
  for (const service of state.services.values()) {
    const balancer = service.loadBalancerIngress.filter(({ ipMode }) => ipMode === 'VIP').map(({ ip }) => ip);
    for (const address of [...service.clusterIps, ...service.externalIps, ...balancer]) {
      if (!owners.has(address)) owners.set(address, { kind: 'service', service });
    }
  }
  for (const { name, addresses } of state.nodes.values()) {
    for (const address of addresses) owners.set(address, { kind: 'node', name });
  }
  // A terminating pod leaves its address to a new one; among equals the key decides.
  const pods = [...state.pods.values()].filter(isReachable).sort(comparePods);
  for (const pod of pods) {
    for (const address of pod.ips) if (owners.get(address)?.kind !== 'pod') owners.set(address, { kind: 'pod', pod });
  }
  return owners;
}

function comparePods(left: Pod, right: Pod): number {
  const byTerminating = Number(left.terminating) - Number(right.terminating);
  if (byTerminating !== 0) return byTerminating;
  return `${left.namespace}/${left.name}` < `${right.namespace}/${right.name}` ? -1 : 1;
}

function makeNode(name: string, { dataplane, facts, ...plans }: CompiledNode, model: ClusterModel): NodeModel {
  const podCidrs = model.state.nodes.get(name)?.podCidrs ?? [];
  const addresses = [...(model.state.nodes.get(name)?.addresses ?? []), ...facts.nodeAddresses];
  const own = new Set(addresses);
  const isGateway = (address: IpAddress) => podCidrs.some((cidr) => cidrContains(cidr, address));
  const primary = (family: IpFamily) => {
    const candidates = addresses.filter((address) => familyOf(address) === family);
    return candidates.find((address) => !isGateway(address)) ?? candidates[0];
  };
  const gateway = (family: IpFamily) =>
    addresses.find((address) => familyOf(address) === family && isGateway(address)) ?? primary(family);
  const host: Host = {
    isOwnAddress: (address) => own.has(address),
    route: (destination) => {
      const local = localRoute(destination, { name, facts, model });
      const sourceAddress = (local === undefined ? primary : gateway)(familyOf(destination));
      return { ...(local ?? { outInterface: uplinkName }), ...(sourceAddress === undefined ? {} : { sourceAddress }) };
    },
  };
  return {
    name,
    tracer: new NodeTracer(dataplane, host),
    ...plans,
    addresses: [...own],
    addressOf: primary,
    attachmentOf: (pod, address) => attachmentOf(pod, address, facts),
  };
}

interface LocalContext {
  readonly name: string;
  readonly facts: NodeFacts;
  readonly model: ClusterModel;
}

/** Undefined: the address is not a pod's of this node. */
function localRoute(destination: IpAddress, { name, facts, model }: LocalContext): Route | undefined {
  const owner = model.ownerOf(destination);
  if (owner?.kind !== 'pod' || owner.pod.nodeName !== name) return undefined;
  const { inInterface, inPort } = attachmentOf(owner.pod, destination, facts);
  return { outInterface: inInterface, ...(inPort === undefined ? {} : { outPort: inPort }) };
}

/** A pod that is not found on its node yet has an interface all the same: Calico's name for it stands for that. */
function attachmentOf(pod: Pod, address: IpAddress, facts: NodeFacts): Attachment {
  const binding = facts.bindings.get(address);
  const fallback = vethName(pod.namespace, pod.name);
  if (binding === undefined) return { inInterface: fallback };
  if (binding.kind === 'routed') return { inInterface: binding.interface };
  return { inInterface: binding.bridge, inPort: binding.port ?? fallback };
}
