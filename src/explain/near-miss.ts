/** Why a policy's rules do not fit a packet, rule by rule, in words. */
import type { Match, Side } from '../dataplane/rule.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import { formatCidr } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { Direction, PlannedPeer, PlannedPorts, PlannedRule } from '../policy/plan.ts';
import type { ClusterModel, NodeModel } from './cluster-model.ts';
import { ownerText } from './outcome-text.ts';

/** One peer or rule of a policy, and the first thing about it that does not fit. */
export interface RuleMiss {
  /** `spec.ingress[0].from[1]` */
  readonly path: string;
  readonly why: string;
}

export interface Asked {
  readonly model: ClusterModel;
  readonly node: NodeModel;
  readonly direction: Direction;
  readonly packet: Packet;
}

/** Undefined: one of the rules allows the packet. A path is named once, by its nearest miss. */
export function nearMisses(asked: Asked, rules: readonly PlannedRule[]): readonly RuleMiss[] | undefined {
  const misses = new Map<string, { readonly why: string; readonly depth: number }>();
  for (const rule of rules) {
    const miss = missOf(asked, rule);
    if (miss === undefined) return undefined;
    const path = rule.origin.path ?? 'spec';
    const known = misses.get(path);
    if (known === undefined || known.depth < miss.depth) misses.set(path, miss);
  }
  return [...misses].map(([path, { why }]) => ({ path, why }));
}

/** `depth`: how many conditions held before. */
function missOf(asked: Asked, rule: PlannedRule): { readonly why: string; readonly depth: number } | undefined {
  const peer = peerMiss(asked, rule.peer);
  if (peer !== undefined) return { why: peer, depth: 0 };
  const { protocol } = rule;
  if (protocol !== undefined && !holds(asked, { kind: 'protocol', protocol })) {
    return { why: `allows ${protocol.toUpperCase()} only`, depth: 1 };
  }
  const port = portMiss(asked, rule.ports);
  return port === undefined ? undefined : { why: port, depth: 2 };
}

function peerMiss(asked: Asked, peer: PlannedPeer): string | undefined {
  const { model, direction, packet } = asked;
  const side: Side = direction === 'ingress' ? 'source' : 'destination';
  const address = packet[side];
  const owner = ownerText(model, address);
  const name = owner === address ? address : `${owner} (${address})`;
  switch (peer.kind) {
    case 'all':
      return undefined;
    case 'set': {
      const isMember = holds(asked, { kind: 'ipset', set: peer.sets[packet.family], sides: [side] });
      return isMember ? undefined : `does not select ${name}`;
    }
    case 'block': {
      if (!holds(asked, { kind: 'address', side, cidr: peer.cidr }))
        return `${name} is outside ${formatCidr(peer.cidr)}`;
      const except = peer.except.find((cidr) => holds(asked, { kind: 'address', side, cidr }));
      return except === undefined ? undefined : `${name} is in its exception ${formatCidr(except)}`;
    }
    default:
      return unreachable(peer);
  }
}

function portMiss(asked: Asked, ports: PlannedPorts): string | undefined {
  const { packet } = asked;
  const port = `port ${packet.destinationPort ?? 'none'}`;
  switch (ports.kind) {
    case 'all':
      return undefined;
    case 'ranges': {
      if (holds(asked, { kind: 'ports', side: 'destination', ports: ports.ranges })) return undefined;
      const allowed = ports.ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
      return `allows ${allowed.join(', ')}, not ${port}`;
    }
    case 'named': {
      const sides: readonly Side[] = ['destination', 'destination'];
      const isMember = holds(asked, { kind: 'ipset', set: ports.sets[packet.family], sides });
      return isMember ? undefined : `${port} is not a port that the destination has under the allowed name`;
    }
    default:
      return unreachable(ports);
  }
}

function holds({ node, packet }: Asked, match: Match): boolean {
  return node.tracer.matches(match, packet);
}
