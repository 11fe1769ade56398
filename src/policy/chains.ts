/** The chains of one policy. They allow by setting the accept mark; what no rule allows, the endpoint's chain drops. */
import { acceptMark, scratchMark, scratchMark1 } from '../dataplane/marks.ts';
import { type ChainName, policyEgressChain, policyIngressChain } from '../dataplane/names.ts';
import type { Action, Chain, Match, Origin, PortRange, Rule, Side } from '../dataplane/rule.ts';
import { clearMark, hasMark, inSet, returnToCaller, setMark } from '../dataplane/rule-parts.ts';
import type { Cidr, IpFamily } from '../lib/ip.ts';
import type { ActivePolicy, Direction, PlannedPorts, PlannedRule } from './plan.ts';

/** multiport takes 15 ports; a range counts as two. */
const portSlots = 15;

/** `cali-pi-` and `cali-po-` of a policy, each only where the policy isolates in that direction. */
export function renderPolicyChains(policy: ActivePolicy, family: IpFamily): readonly Chain[] {
  const { id, ingress, egress } = policy;
  return [
    ...(ingress === undefined ? [] : [chainOf(policyIngressChain(id), ingress, 'ingress', family)]),
    ...(egress === undefined ? [] : [chainOf(policyEgressChain(id), egress, 'egress', family)]),
  ];
}

function chainOf(name: ChainName, planned: readonly PlannedRule[], direction: Direction, family: IpFamily): Chain {
  return { name, style: 'cali', rules: planned.flatMap((allowed) => allowRules(allowed, direction, family)) };
}

/**
 * `<match> MARK set accept`, then `mark accept RETURN`. Several rules set the mark where one cannot hold all ports.
 * A block of the other family allows nothing here.
 */
function allowRules(planned: PlannedRule, direction: Direction, family: IpFamily): readonly Rule[] {
  const { peer, origin } = planned;
  if (peer.kind === 'block' && peer.cidr.family !== family) return [];
  const side: Side = direction === 'ingress' ? 'source' : 'destination';
  // An except of the other family cannot cover any address of the block.
  const excepts = peer.kind === 'block' ? peer.except.filter((cidr) => cidr.family === family) : [];
  const isMarked = excepts.length > 0 ? [hasMark(scratchMark)] : [];
  const matches = portMatches(planned.ports, family).map((ports) => [
    ...(planned.protocol === undefined ? [] : [{ kind: 'protocol', protocol: planned.protocol } as const]),
    ...peerMatch(planned, side, family),
    ...ports,
    ...isMarked,
  ]);
  if (matches.length === 0) return [];
  return [
    ...exceptRules(excepts, side, origin),
    ...matches.map((match) => rule(match, setMark(acceptMark), origin, `allows ${direction}: sets the accept mark`)),
    rule([hasMark(acceptMark)], returnToCaller, origin, 'accepted: no further rule of the policy is needed'),
  ];
}

/** Felix's match block: the scratch mark stays only on packets outside every except. An except is no deny, so nothing is dropped. */
function exceptRules(excepts: readonly Cidr[], side: Side, origin: Origin): readonly Rule[] {
  if (excepts.length === 0) return [];
  const begin: Action = { kind: 'set-mark', value: scratchMark, mask: scratchMark | scratchMark1 };
  return [
    rule([], begin, origin, 'begins an ipBlock with exceptions: the scratch mark says "not excepted"'),
    ...excepts.map((cidr) =>
      rule([{ kind: 'address', side, cidr }], clearMark(scratchMark), origin, 'an exception of the ipBlock'),
    ),
  ];
}

function peerMatch({ peer }: PlannedRule, side: Side, family: IpFamily): readonly Match[] {
  if (peer.kind === 'all') return [];
  if (peer.kind === 'set') return [inSet(peer.sets[family], side)];
  return [{ kind: 'address', side, cidr: peer.cidr }];
}

/** One list of conditions for each rule that is needed. */
function portMatches(ports: PlannedPorts, family: IpFamily): readonly (readonly Match[])[] {
  if (ports.kind === 'all') return [[]];
  if (ports.kind === 'named') return [[inSet(ports.sets[family], 'destination', 'destination')]];
  return portGroups(ports.ranges).map((group) => [{ kind: 'ports', side: 'destination', ports: group }]);
}

function portGroups(ranges: readonly PortRange[]): readonly (readonly PortRange[])[] {
  const groups: PortRange[][] = [];
  let free = 0;
  for (const range of ranges) {
    const slots = range.first === range.last ? 1 : 2;
    if (slots > free) {
      groups.push([]);
      free = portSlots;
    }
    groups.at(-1)?.push(range);
    free -= slots;
  }
  return groups;
}

function rule(matches: readonly Match[], action: Action, origin: Origin, note: string): Rule {
  return { matches, action, comments: [], origin: { ...origin, note: origin.note ?? note } };
}
