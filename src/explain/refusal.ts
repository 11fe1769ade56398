/** Why policies refused a packet: every policy that isolates the pod, why none of its rules fits, and the rule that would. */
import type { NetworkPolicy, Pod } from '../cluster/objects.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import type { ActivePolicy, Direction } from '../policy/plan.ts';
import { missingRuleYaml } from './missing-rule.ts';
import type { ClusterModel, NodeModel } from './cluster-model.ts';
import type { InvestigatedBranch } from './investigate.ts';
import { lastStep } from './journey.ts';
import { nearMisses, type RuleMiss } from './near-miss.ts';

export interface PolicyRefusal {
  readonly policy: NetworkPolicy;
  /** Empty: the policy has no rule in this direction, or is malformed, so it allows nothing. */
  readonly misses: readonly RuleMiss[];
}

/** One pod in one direction. */
export interface Refusal {
  readonly direction: Direction;
  readonly pod: Pod;
  /** By name. */
  readonly policies: readonly PolicyRefusal[];
  /** A rule that would allow the packet, for any one of the policies: YAML below `spec:`. */
  readonly missingRule: string;
}

/**
 * Empty unless policies refused. The first is what dropped the packet; where egress did, the destination's ingress
 * follows if it would refuse too, so that both can be mended at once.
 */
export function refusalsOf(model: ClusterModel, { journey }: InvestigatedBranch): readonly Refusal[] {
  const step = lastStep(journey);
  const node = journey.hops.at(-1)?.node;
  if (step?.kind !== 'rule' || step.rule.action.kind !== 'drop' || node === undefined) return [];
  const direction = directionOf(step.chain);
  if (direction === undefined) return [];
  const here = refusalAt(model, model.node(node), direction, step.before);
  if (here === undefined) return [];
  const there = direction === 'egress' ? ingressRefusal(model, step.before) : undefined;
  return there === undefined ? [here] : [here, there];
}

/** Of the chain that dropped: `cali-tw-` is to a workload, `cali-fw-` from one. */
function directionOf(chain: string): Direction | undefined {
  if (chain.startsWith('cali-tw-')) return 'ingress';
  return chain.startsWith('cali-fw-') ? 'egress' : undefined;
}

function ingressRefusal(model: ClusterModel, packet: Packet): Refusal | undefined {
  const owner = model.ownerOf(packet.destination);
  const node = owner?.kind === 'pod' ? owner.pod.nodeName : undefined;
  return node === undefined ? undefined : refusalAt(model, model.node(node), 'ingress', packet);
}

/** Undefined where no policy isolates the pod, or one allows the packet. */
function refusalAt(model: ClusterModel, node: NodeModel, direction: Direction, packet: Packet): Refusal | undefined {
  const owner = model.ownerOf(direction === 'ingress' ? packet.destination : packet.source);
  if (owner?.kind !== 'pod') return undefined;
  const { pod } = owner;
  const ids = node.policyPlan.endpoints.get(`${pod.namespace}/${pod.name}`)?.[direction] ?? [];
  const policies = ids.flatMap((id): PolicyRefusal[] => {
    const active = node.policyPlan.policies.get(id);
    const misses = active === undefined ? undefined : missesOf(model, node, active, { direction, packet });
    return active === undefined || misses === undefined ? [] : [{ policy: active.policy, misses }];
  });
  if (policies.length === 0 || policies.length < ids.length) return undefined;
  return { direction, pod, policies, missingRule: missingRuleYaml(model, direction, packet, pod.namespace) };
}

/** Undefined: a rule of the policy allows the packet. */
function missesOf(
  model: ClusterModel,
  node: NodeModel,
  active: ActivePolicy,
  asked: { readonly direction: Direction; readonly packet: Packet },
): readonly RuleMiss[] | undefined {
  return nearMisses({ model, node, ...asked }, active[asked.direction] ?? []);
}
