/** Which local pods are programmed, and where: the plan's endpoints joined with what the node knows of its interfaces. */
import type { EndpointBinding, NodeFacts } from '../dataplane/endpoint-binding.ts';
import { vethName } from '../dataplane/names.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { familyOf, type IpAddress, type IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import type { WorkloadEndpoint } from '../policy/plan.ts';

/** A local pod whose host side is known: it is programmed. */
export interface BoundEndpoint extends WorkloadEndpoint {
  /** What its chains are named after: the host-side interface, or Calico's name for it where none could be found. */
  readonly chainSuffix: string;
  /** The host-side interface, where it is known: the routed veth or the bridge port. */
  readonly interface?: string;
  /** How its packets of a family enter and leave the node; without an entry it has no way in that family. */
  readonly bindings: Readonly<Partial<Record<IpFamily, EndpointBinding>>>;
}

export interface BoundEndpoints {
  /** By pod key. */
  readonly endpoints: ReadonlyMap<string, BoundEndpoint>;
  /** Pods that are left out although the node has a way to them. */
  readonly diagnostics: readonly Diagnostic[];
}

/** A pod's own address of a family, if it has one. */
export function addressOf(endpoint: WorkloadEndpoint, family: IpFamily): IpAddress | undefined {
  return endpoint.pod.ips.find((address) => familyOf(address) === family);
}

/**
 * Two pods may claim one address or one interface for a while (an address given again while its last owner still
 * terminates). Then one pod is programmed, a pod that is not terminating before one that is, then by key; the other
 * stays closed until the claim ends. An endpoint that is as it was in `before` stays the same object.
 */
export function bindEndpoints(
  planned: ReadonlyMap<string, WorkloadEndpoint>,
  facts: NodeFacts,
  families: readonly IpFamily[],
  before: ReadonlyMap<string, BoundEndpoint> = new Map(),
): BoundEndpoints {
  const endpoints = new Map<string, BoundEndpoint>();
  const diagnostics: Diagnostic[] = [];
  const owners = new Map<string, string>();
  for (const endpoint of [...planned.values()].sort(byPrecedence)) {
    const bound = bindEndpoint(endpoint, facts, families);
    if (bound === undefined) continue;
    const refusal = isUsableInterface(bound) ? conflict(bound, owners) : badInterface(bound);
    if (refusal === undefined) {
      endpoints.set(bound.key, sameOrNew(bound, before.get(bound.key)));
      for (const claim of claims(bound)) owners.set(claim, bound.key);
    } else {
      // A terminating pod that has lost its address is the ordinary course of things.
      const severity = bound.pod.terminating ? 'warning' : 'error';
      diagnostics.push({ severity, object: `Pod ${bound.key}`, message: refusal });
    }
  }
  return { endpoints: new Map([...endpoints].sort(([left], [right]) => compare(left, right))), diagnostics };
}

/**
 * A family in which the pod has no address is policed too where its interface tells its packets apart: a pod may hold
 * an address that the API does not know.
 */
function bindEndpoint(
  endpoint: WorkloadEndpoint,
  facts: NodeFacts,
  families: readonly IpFamily[],
): BoundEndpoint | undefined {
  const own = endpoint.pod.ips.map((address) => facts.bindings.get(address));
  const main = own.find((binding) => binding !== undefined && interfaceOf(binding) !== undefined) ?? own.find(Boolean);
  if (main === undefined) return undefined;
  const bindings: Partial<Record<IpFamily, EndpointBinding>> = {};
  for (const family of families) {
    const address = addressOf(endpoint, family);
    const binding = (address === undefined ? undefined : facts.bindings.get(address)) ?? main;
    if (address !== undefined || interfaceOf(binding) !== undefined) bindings[family] = binding;
  }
  const name = interfaceOf(main);
  return {
    ...endpoint,
    chainSuffix: name ?? vethName(endpoint.pod.namespace, endpoint.pod.name),
    ...(name === undefined ? {} : { interface: name }),
    bindings,
  };
}

function sameOrNew(bound: BoundEndpoint, before: BoundEndpoint | undefined): BoundEndpoint {
  const isSame =
    before !== undefined &&
    bound.pod === before.pod &&
    bound.ingress === before.ingress &&
    bound.egress === before.egress &&
    bound.chainSuffix === before.chainSuffix &&
    sameValue(bound.bindings, before.bindings);
  return isSame ? before : bound;
}

function interfaceOf(binding: EndpointBinding): string | undefined {
  return binding.kind === 'routed' ? binding.interface : binding.port;
}

/** What only one endpoint may have: addresses, interfaces, chain names. */
function claims(bound: BoundEndpoint): ReadonlySet<string> {
  const interfaces = Object.values(bound.bindings).map(interfaceOf);
  const named = [bound.chainSuffix, ...interfaces.filter((name) => name !== undefined)];
  return new Set([
    ...bound.pod.ips.map((address) => `address ${address}`),
    ...named.map((name) => `interface ${name}`),
  ]);
}

function conflict(bound: BoundEndpoint, owners: ReadonlyMap<string, string>): string | undefined {
  for (const claim of claims(bound)) {
    const owner = owners.get(claim);
    if (owner !== undefined) {
      return `${claim} is also that of Pod ${owner}, which is programmed; this pod stays closed until one of them is gone`;
    }
  }
  return undefined;
}

function isUsableInterface(bound: BoundEndpoint): boolean {
  // A trailing + would match other interfaces, and restore text has no way to quote blanks and quotes safely.
  const isUsable = (name: string) => /^[\w.:@][\w.:@-]{0,14}$/.test(name);
  return Object.values(bound.bindings).every((binding) => isUsable(interfaceOf(binding) ?? bound.chainSuffix));
}

function badInterface(bound: BoundEndpoint): string {
  const name = JSON.stringify(bound.interface ?? bound.chainSuffix);
  return `interface name ${name} cannot be written into a rule (letters, digits and . : @ _ - are expected); the pod stays closed`;
}

function byPrecedence(left: WorkloadEndpoint, right: WorkloadEndpoint): number {
  return Number(left.pod.terminating) - Number(right.pod.terminating) || compare(left.key, right.key);
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
