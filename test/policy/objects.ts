/** Short ways to write cluster objects in tests of the decide stage. */
import type {
  ContainerPort,
  LabelRequirement,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Protocol,
} from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { PolicyDecider } from '../../src/policy/decide.ts';
import type { PolicyPlan, PolicyPlanDelta } from '../../src/policy/plan.ts';
import { cidr, ip } from '../addresses.ts';

export { cidr, ip };

export function labels(matchLabels: Labels): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

export function expressions(...matchExpressions: LabelRequirement[]): LabelSelector {
  return { matchLabels: {}, matchExpressions };
}

export const empty = labels({});

export interface PodShape {
  readonly labels?: Labels;
  readonly ips?: readonly string[];
  readonly node?: string;
  readonly ports?: readonly ContainerPort[];
}

/** `key` is `namespace/name`; anything else of the pod may be overridden. */
export function pod(key: string, shape: PodShape = {}, overrides: Partial<Pod> = {}): Pod {
  const [inNamespace = '', name = ''] = key.split('/');
  return {
    kind: 'Pod',
    namespace: inNamespace,
    name,
    labels: shape.labels ?? {},
    serviceAccount: 'default',
    nodeName: shape.node ?? 'node-a',
    hostNetwork: false,
    ips: (shape.ips ?? []).map(ip),
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: shape.ports ?? [],
    allowedSources: [],
    ...overrides,
  };
}

export function namespace(name: string, own: Labels = {}): Namespace {
  return { kind: 'Namespace', name, labels: { 'kubernetes.io/metadata.name': name, ...own } };
}

export function policy(key: string, shape: Partial<NetworkPolicy> = {}): NetworkPolicy {
  const [inNamespace = '', name = ''] = key.split('/');
  return {
    kind: 'NetworkPolicy',
    namespace: inNamespace,
    name,
    podSelector: empty,
    isolatesIngress: shape.egress === undefined || shape.ingress !== undefined,
    isolatesEgress: shape.egress !== undefined,
    ingress: [],
    egress: [],
    ...shape,
  };
}

export function rule(peers?: readonly PolicyPeer[], ports?: readonly PolicyPort[]): PolicyRule {
  return {
    path: 'spec.rule',
    ...(peers === undefined ? {} : { peers }),
    ...(ports === undefined ? {} : { ports }),
  };
}

export function pods(podSelector?: LabelSelector, namespaceSelector?: LabelSelector): PolicyPeer {
  return {
    kind: 'pods',
    path: 'spec.rule.peer',
    ...(podSelector === undefined ? {} : { podSelector }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
  };
}

export function block(text: string, ...except: string[]): PolicyPeer {
  return { kind: 'ipBlock', path: 'spec.rule.block', cidr: cidr(text), except: except.map(cidr) };
}

export function range(first: number, last = first, protocol: Protocol = 'TCP'): PolicyPort {
  return { kind: 'range', protocol, first, last, path: 'spec.rule.port' };
}

export function named(name: string, protocol: Protocol = 'TCP'): PolicyPort {
  return { kind: 'named', protocol, name, path: 'spec.rule.port' };
}

export function anyPort(protocol: Protocol): PolicyPort {
  return { kind: 'any', protocol, path: 'spec.rule.port' };
}

/** A store and a decider of node-a, fed together. */
export class Cluster {
  readonly store = new ClusterStore();
  readonly decider: PolicyDecider;

  constructor(...objects: (Pod | Namespace | NetworkPolicy)[]) {
    const ipFamilies: readonly IpFamily[] = ['ipv4', 'ipv6'];
    this.decider = new PolicyDecider(this.store, { nodeName: 'node-a', ipFamilies });
    this.set(...objects);
  }

  get plan(): PolicyPlan {
    return this.decider.plan;
  }

  set(...objects: (Pod | Namespace | NetworkPolicy)[]): PolicyPlanDelta {
    return this.change(objects.map((object) => ({ type: 'set', object })));
  }

  delete(kind: 'Pod' | 'Namespace' | 'NetworkPolicy', key: string): PolicyPlanDelta {
    return this.change([{ type: 'delete', kind, key }]);
  }

  change(changes: readonly ClusterChange[]): PolicyPlanDelta {
    return this.decider.apply(this.store.apply(changes));
  }

  /** The members of the only set of a family; throws when there are several. */
  members(family: IpFamily = 'ipv4'): readonly string[] {
    const sets = [...this.plan.ipSets.values()].filter((set) => set.family === family);
    if (sets.length !== 1) throw new Error(`expected one ${family} set, found ${sets.length}`);
    return sets.flatMap((set) => [...set.members]).sort();
  }
}

/** The plan as plain data, members sorted, for comparison. */
export function snapshot(plan: PolicyPlan): unknown {
  const byKey = <T>(map: ReadonlyMap<string, T>) => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    endpoints: byKey(plan.endpoints),
    policies: byKey(plan.policies),
    profiles: byKey(plan.profiles),
    ipSets: byKey(plan.ipSets).map(([name, set]) => [name, { ...set, members: [...set.members].sort() }]),
  };
}
