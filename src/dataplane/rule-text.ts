/**
 * One rule as restore text. cali chains: Felix's long form, because the rule hash is computed over this very text
 * (`iptables-save` prints the short form). KUBE chains: kube-proxy's own text.
 */
import { bitsOf, formatCidr, joinHostPort } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { Action, Match, PortRange, Rule, Side } from './rule.ts';

/** The append line with the literal word HASH where the hash comment goes: what is hashed (felix.md 1.5). */
export function hashInput(chain: string, rule: Rule): string {
  return caliRuleText(chain, rule, 'HASH');
}

/** `-A <chain> <hashText> <comments> <matches> <action>` */
export function caliRuleText(chain: string, rule: Rule, hashText: string): string {
  const comments = rule.comments.map((comment) => `-m comment --comment "${cleanComment(comment)}"`);
  return joinWords(['-A', chain, hashText, ...comments, ...rule.matches.map(renderMatch), renderAction(rule.action)]);
}

/** kube-proxy's text: comments first, unquoted where they have no space. */
export function kubeRuleText(chain: string, rule: Rule): string {
  const comments = rule.comments.map((comment) => `-m comment --comment ${quoteIfNeeded(cleanKubeComment(comment))}`);
  return joinWords(['-A', chain, ...comments, ...rule.matches.map(renderKubeMatch), renderKubeAction(rule.action)]);
}

function joinWords(words: readonly string[]): string {
  return words.filter((word) => word !== '').join(' ');
}

/** Felix's set of characters (others become `_`), and 256 bytes with the NUL is the kernel's limit: nothing in a name can leave its quotes. */
function cleanComment(comment: string): string {
  return comment.replaceAll(/[^\w @%+=:,./-]/g, '_').slice(0, 255);
}

/** kube-proxy's comments also hold `->` and `;`. */
function cleanKubeComment(comment: string): string {
  return comment.replaceAll(/[^\w @%+=:,./;>[\]-]/g, '_').slice(0, 255);
}

function quoteIfNeeded(comment: string): string {
  return /^[\w/.:-]+$/.test(comment) ? comment : `"${comment}"`;
}

function renderMatch(match: Match): string {
  switch (match.kind) {
    case 'protocol':
      return `-p ${match.protocol}`;
    case 'address':
      return `${not(match)}--${match.side} ${formatCidr(match.cidr)}`;
    case 'ports':
      return `-m multiport ${not(match)}--${match.side}-ports ${match.ports.map(renderPortRange).join(',')}`;
    case 'port':
      return `--${match.side}-port ${match.port}`;
    case 'ipset':
      return `-m set ${not(match)}--match-set ${match.set} ${match.sides.map(shortSide).join(',')}`;
    case 'mark':
      return `-m mark ${not(match)}--mark ${hex(match.value)}/${hex(match.mask)}`;
    case 'ctstate':
      return `-m conntrack ${not(match)}--ctstate ${match.states.join(',')}`;
    case 'ctdir':
      return `-m conntrack --ctdir ${match.direction}`;
    case 'interface':
      return match.physical === true
        ? `-m physdev ${not(match)}--physdev-${match.direction} ${match.name}`
        : `${not(match)}--${match.direction}-interface ${match.name}`;
    case 'addrtype':
      return `-m addrtype ${not(match)}--${shortSide(match.side)}-type ${match.type}`;
    case 'icmpv6-type':
      return `-m icmp6 --icmpv6-type ${match.type}`;
    case 'probability':
      return `-m statistic --mode random --probability ${match.probability.toFixed(10)}`;
    case 'recent-check':
      return `-m recent --name ${match.list} --rcheck --seconds ${match.seconds} --reap`;
    case 'recent-set':
      return `-m recent --name ${match.list} --set`;
    default:
      return unreachable(match);
  }
}

/** kube-proxy's spelling where it differs. */
function renderKubeMatch(match: Match): string {
  switch (match.kind) {
    case 'protocol':
      return `-m ${match.protocol} -p ${match.protocol}`;
    case 'address': {
      const flag = match.side === 'source' ? '-s' : '-d';
      return `${not(match)}${flag} ${match.cidr.prefixLength === bitsOf(match.cidr.family) ? match.cidr.address : formatCidr(match.cidr)}`;
    }
    case 'mark':
      return `-m mark ${not(match)}--mark ${kubeMark(match.value)}/${kubeMark(match.mask)}`;
    case 'port':
      return match.side === 'source' ? `--sport ${match.port}` : `--dport ${match.port}`;
    case 'interface':
      return match.physical === true
        ? renderMatch(match)
        : `${not(match)}${match.direction === 'in' ? '-i' : '-o'} ${match.name}`;
    default:
      return renderMatch(match);
  }
}

function renderAction(action: Action): string {
  switch (action.kind) {
    case 'accept':
      return '--jump ACCEPT';
    case 'drop':
      return '--jump DROP';
    case 'reject':
      return '--jump REJECT';
    case 'return':
      return '--jump RETURN';
    case 'jump':
      return `--jump ${action.chain}`;
    case 'goto':
      return `--goto ${action.chain}`;
    case 'set-mark':
      return `--jump MARK --set-mark ${hex(action.value)}/${hex(action.mask)}`;
    case 'xor-mark':
      return `--jump MARK --xor-mark ${hex(action.value)}`;
    case 'dnat':
      return `--jump DNAT --to-destination ${joinHostPort(action.address, action.port)}`;
    case 'masquerade':
      return `--jump MASQUERADE${action.randomFully ? ' --random-fully' : ''}`;
    case 'none':
      return '';
    default:
      return unreachable(action);
  }
}

function renderKubeAction(action: Action): string {
  switch (action.kind) {
    case 'set-mark':
      return `-j MARK --or-mark ${kubeMark(action.value)}`;
    case 'xor-mark':
      return `-j MARK --xor-mark ${kubeMark(action.value)}`;
    default:
      return renderAction(action).replace('--jump ', '-j ').replace('--goto ', '-g ');
  }
}

function renderPortRange({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}:${last}`;
}

function shortSide(side: Side): string {
  return side === 'source' ? 'src' : 'dst';
}

function not(match: { readonly negate?: true }): string {
  return match.negate === true ? '! ' : '';
}

/** Felix prints zero as `0`. */
function hex(value: number): string {
  return value === 0 ? '0' : `0x${(value >>> 0).toString(16)}`;
}

/** Go's `%#08x`: kube-proxy's masquerade mark is `0x00004000`. */
function kubeMark(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}
