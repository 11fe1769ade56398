/** One direction of one NetworkPolicy as planned rules, with the sets that they refer to. */
import type { NetworkPolicy, PolicyPeer, PolicyRule } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import type { Origin } from '../dataplane/rule.ts';
import type { Direction, PlannedPeer, PlannedPorts, PlannedRule } from './plan.ts';
import type { ProtocolPorts } from './ports.ts';
import { portsByProtocol } from './ports.ts';
import type { NamedPort, PodSelection, SetSpec } from './set-spec.ts';
import { addressSet, allPods, namedPortSet, peerSelection, subjectSelection } from './set-spec.ts';

export interface PlannedDirection {
  readonly rules: readonly PlannedRule[];
  /** One entry for each mention in a rule. */
  readonly sets: readonly SetSpec[];
}

/** What is the same for every rule of one peer. */
interface PeerContext {
  readonly peer: PlannedPeer;
  /** The set behind `peer`, if it has one. */
  readonly set?: SetSpec;
  /** Whose named ports count: pods that a packet of this rule can go to. */
  readonly destinations: PodSelection;
  /** A named port's set already says who the peer is. */
  readonly narrowsNamedPorts: boolean;
  readonly origin: Origin;
}

/** Order: rules as written; in a rule by protocol name, then by peer, then numbers before names (felix.md 2.5). */
export function planDirection(policy: NetworkPolicy, direction: Direction): PlannedDirection {
  const rules: PlannedRule[] = [];
  const sets: SetSpec[] = [];
  for (const rule of direction === 'ingress' ? policy.ingress : policy.egress) {
    const peers = contextsOf(policy, rule, direction);
    for (const ports of portsByProtocol(rule.ports)) {
      for (const peer of peers) planRules(peer, ports, { rules, sets });
    }
  }
  return { rules, sets };
}

function contextsOf(policy: NetworkPolicy, rule: PolicyRule, direction: Direction): readonly PeerContext[] {
  // Ingress goes to the policy's own pods alone, so their ports are all that a name can mean: a far smaller set than everybody's.
  const elsewhere = direction === 'ingress' ? subjectSelection(policy) : allPods;
  if (rule.peers === undefined) {
    const origin = originOf(policy, rule.path);
    return [{ peer: { kind: 'all' }, destinations: elsewhere, narrowsNamedPorts: false, origin }];
  }
  return rule.peers.map((peer) => contextOf(policy, peer, direction, elsewhere));
}

function contextOf(
  policy: NetworkPolicy,
  peer: PolicyPeer,
  direction: Direction,
  elsewhere: PodSelection,
): PeerContext {
  const origin = originOf(policy, peer.path);
  if (peer.kind === 'ipBlock') {
    const block: PlannedPeer = { kind: 'block', cidr: peer.cidr, except: peer.except };
    return { peer: block, destinations: elsewhere, narrowsNamedPorts: false, origin };
  }
  const selection = peerSelection(policy.namespace, peer);
  const set = addressSet(selection);
  const isDestination = direction === 'egress';
  return {
    peer: { kind: 'set', sets: set.names },
    set,
    destinations: isDestination ? selection : elsewhere,
    narrowsNamedPorts: isDestination,
    origin,
  };
}

function planRules(context: PeerContext, ports: ProtocolPorts, into: { rules: PlannedRule[]; sets: SetSpec[] }): void {
  const { protocol, all, ranges, names } = ports;
  const add = (peer: PlannedPeer, planned: PlannedPorts): void => {
    const { origin, set } = context;
    into.rules.push({ peer, ports: planned, origin, ...(protocol === undefined ? {} : { protocol }) });
    if (peer.kind === 'set' && set !== undefined) into.sets.push(set);
  };
  if (all) add(context.peer, { kind: 'all' });
  if (ranges.length > 0) add(context.peer, { kind: 'ranges', ranges });
  if (protocol === undefined) return;
  for (const name of names) {
    const port: NamedPort = { protocol, name };
    const set = namedPortSet(context.destinations, port);
    into.sets.push(set);
    add(context.narrowsNamedPorts ? { kind: 'all' } : context.peer, { kind: 'named', sets: set.names });
  }
}

function originOf(policy: NetworkPolicy, path: string): Origin {
  const object = describeObject(policy);
  const { location } = policy;
  if (location === undefined) return { object, path };
  return { object, path, file: location.file, line: location.lines.get(path) ?? location.line };
}
