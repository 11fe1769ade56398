/** Steps in words: what a rule did, and why it matched. */
import type { Action, Match, Rule } from '../dataplane/rule.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import type { TraceStep } from '../dataplane/trace/step.ts';
import { acceptMark, masqueradeMark } from '../dataplane/marks.ts';
import { formatCidr, joinHostPort } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';

/** As iptables names the target, in few words. */
export function actionText(action: Action): string {
  switch (action.kind) {
    case 'accept':
    case 'drop':
    case 'reject':
    case 'return':
      return action.kind.toUpperCase();
    case 'jump':
    case 'goto':
      return `${action.kind} ${action.chain}`;
    case 'set-mark':
      return markText(action.value, action.mask);
    case 'xor-mark':
      return `MARK xor ${hex(action.value)}`;
    case 'dnat':
      return `DNAT ${joinHostPort(action.address, action.port)}`;
    case 'masquerade':
      return 'MASQUERADE';
    case 'none':
      return 'continue';
    default:
      return unreachable(action);
  }
}

/** Why: what the rule is there for, else its comments, else what matched. */
export function reasonText(step: TraceStep): string {
  if (step.kind === 'end') return endReason(step);
  const { rule } = step;
  const reason =
    rule.origin.note ?? (rule.comments.length > 0 ? rule.comments.join('; ') : matchedText(rule, step.before));
  return rule.action.kind === 'masquerade' ? `${reason}: source is now ${step.after.source}` : reason;
}

/** Every condition of a rule, as words about this packet. */
function matchedText(rule: Rule, packet: Packet): string {
  if (rule.matches.length === 0) return 'matches every packet';
  return rule.matches.map((match) => matchText(match, packet)).join(', ');
}

function endReason({ chain, hook, rules }: TraceStep): string {
  if (chain === hook) return 'no rule decided: the chain accepts by its policy';
  const isPolicy = chain.startsWith('cali-pi-') || chain.startsWith('cali-po-');
  if (isPolicy)
    return rules.length === 0
      ? 'the policy has no rule that allows anything'
      : 'no rule of the policy allows the packet';
  return rules.length === 0 ? 'the chain is empty' : 'no rule decided';
}

function markText(value: number, mask: number): string {
  if (value === 0) return `MARK clear ${hex(mask)}`;
  const meaning = new Map([
    [acceptMark, ' (accepted)'],
    [masqueradeMark, ' (masquerade)'],
  ]).get(value);
  return `MARK set ${hex(value)}${meaning ?? ''}`;
}

function matchText(match: Match, packet: Packet): string {
  const not = 'negate' in match && match.negate ? 'not ' : '';
  switch (match.kind) {
    case 'protocol':
      return `protocol is ${match.protocol}`;
    case 'address':
      return `${match.side} ${packet[match.side]} is ${not}in ${formatCidr(match.cidr)}`;
    case 'ports':
      return `${match.side} port is ${not}${match.ports.map(({ first, last }) => (first === last ? first : `${first}-${last}`)).join(', ')}`;
    case 'port':
      return `${match.side} port is ${match.port}`;
    case 'ipset':
      return `${match.sides[0] === 'source' ? packet.source : packet.destination} is ${not}in set ${match.set}`;
    case 'mark':
      return `mark is ${not}${hex(match.value)}/${hex(match.mask)}`;
    case 'ctstate':
      return `connection is ${not}${match.states.join(' or ')}`;
    case 'ctdir':
      return `direction is ${match.direction}`;
    case 'interface':
      return `${match.direction} ${match.physical === true ? 'port' : 'interface'} is ${not}${match.name}`;
    case 'addrtype':
      return `${match.side} is ${not}${match.type}`;
    case 'icmpv6-type':
      return `ICMPv6 type is ${match.type}`;
    case 'probability':
      return 'chosen by chance';
    case 'recent-check':
      return `the client was seen in ${match.seconds} s`;
    case 'recent-set':
      return 'the client is remembered';
    default:
      return unreachable(match);
  }
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
