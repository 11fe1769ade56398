/** What was found in the kernel, as far as it is ours: text is compared by hash comment or normal form, never read for meaning. */
import type { IpFamily } from '../lib/ip.ts';
import type { BuiltinChain, Chain, TableName } from './rule.ts';
import { normaliseKubeRule } from './kube-rule-text.ts';
import { ownsChain, ownsIpSet } from './ownership.ts';

export type ObservedChain =
  /** Rule ids: the hash of the `cali:` comment, or a KUBE rule's normal form; empty for a rule that is not ours. */
  | { readonly kind: 'read'; readonly ids: readonly string[]; readonly sets: readonly string[] }
  /** We wrote it, and nobody said that it changed since. `below`: how many old rules lie under it still, out of reach (leftovers.ts). */
  | { readonly kind: 'written'; readonly chain: Chain; readonly below?: number }
  /** It exists; a write that failed, or was not read, leaves its content open. */
  | { readonly kind: 'unknown' };

/** A rule of ours in a built-in chain: by its hash comment, or because it jumps to a chain of ours. */
export interface ObservedHook {
  /** 1-based, among all rules of the chain. */
  readonly position: number;
  readonly id: string;
  /** As iptables-save prints it, without `-A CHAIN`: what deletes it. */
  readonly text: string;
  readonly target: string;
}

export interface ObservedTable {
  readonly chains: ReadonlyMap<string, ObservedChain>;
  readonly hooks: ReadonlyMap<BuiltinChain, readonly ObservedHook[]>;
}

export interface ObservedSet {
  readonly name: string;
  readonly family: IpFamily;
  readonly type: string;
  /** The kernel's maxelem. */
  readonly maxElements: number;
  readonly members: ReadonlySet<string>;
}

export interface ObservedDataplane {
  readonly tables: Readonly<Record<IpFamily, Readonly<Record<TableName, ObservedTable>>>>;
  readonly ipSets: ReadonlyMap<string, ObservedSet>;
}

/** Part of the kernel's state, as one read brought it; what is absent was not read. */
export interface ObservedPart {
  readonly tables: readonly { readonly family: IpFamily; readonly table: TableName; readonly content: ObservedTable }[];
  readonly ipSets?: ReadonlyMap<string, ObservedSet>;
}

export interface Ownership {
  /** The KUBE chains are ours too. */
  readonly services: boolean;
}

/** Reads what `iptables-save -t TABLE` printed, or `iptables -S CHAIN`, which names its chain in another way. */
export function parseSave(text: string, ownership: Ownership): ObservedTable {
  const chains = new Map<string, { kind: 'read'; ids: string[]; sets: string[] }>();
  const hooks = new Map<BuiltinChain, ObservedHook[]>();
  const lengths = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line.startsWith(':') || line.startsWith('-N ')) {
      const name = line.startsWith(':') ? line.slice(1, line.indexOf(' ')) : line.slice(3);
      if (ownsChain(name, ownership)) chains.set(name, { kind: 'read', ids: [], sets: [] });
    } else if (line.startsWith('-A ')) {
      const space = line.indexOf(' ', 3);
      const name = space < 0 ? line.slice(3) : line.slice(3, space);
      const rule = space < 0 ? '' : line.slice(space + 1);
      const chain = chains.get(name);
      if (chain !== undefined) readRule(chain, name, rule);
      else if (isBuiltinChain(name)) readBuiltinRule(hooks, lengths, { chain: name, rule, ownership });
    }
  }
  return { chains, hooks };
}

/**
 * The lines of a save that `parseSave` reads, and that stay the same as long as nobody changes a rule: without counters and times, and
 * without what others do in chains of their own.
 */
export function textOfOurs(text: string, ownership: Ownership): string {
  const own = new Set<string>();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '));
      if (!ownsChain(name, ownership)) continue;
      own.add(name);
      lines.push(`:${name} -`);
    } else if (line.startsWith('-A ')) {
      const space = line.indexOf(' ', 3);
      const name = space < 0 ? line.slice(3) : line.slice(3, space);
      if (own.has(name) || isBuiltinChain(name)) lines.push(line);
    }
  }
  return lines.join('\n');
}

/** Reads what `ipset save` (or `ipset list -output save`) printed; sets that are not ours are left out. */
export function parseIpSetSave(text: string): ReadonlyMap<string, ObservedSet> {
  const sets = new Map<string, ObservedSet & { members: Set<string> }>();
  for (const line of text.split('\n')) {
    const words = line.split(' ');
    const [verb, name = '', value = ''] = words;
    if (verb === 'create' && ownsIpSet(name)) {
      sets.set(name, {
        name,
        family: wordAfter(words, 'family') === 'inet6' ? 'ipv6' : 'ipv4',
        type: value,
        maxElements: Number(wordAfter(words, 'maxelem') ?? 0),
        members: new Set(),
      });
    } else if (verb === 'add') sets.get(name)?.members.add(value);
  }
  return sets;
}

/** What a hook is compared by, and the chain it leads to. `text` is without `-A CHAIN`. */
export function identifyHook(text: string): { readonly id: string; readonly target: string } {
  const target = /(?:^| )(?:-j|-g|--jump|--goto) (\S+)/.exec(text)?.[1] ?? '';
  const hash = caliHash(text);
  // The hash alone can be anybody's: what counts is where the packets go.
  return { id: hash === undefined ? normaliseKubeRule(text) : `${hash} ${target}`, target };
}

/** Reads what `ipset list -t` printed: names and how many members. */
export function parseIpSetCounts(text: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const block of text.split(/^(?=Name: )/m)) {
    const [, name = ''] = /^Name: (\S+)/.exec(block) ?? [];
    const [, count] = /^Number of entries: (\d+)/m.exec(block) ?? [];
    if (ownsIpSet(name) && count !== undefined) counts.set(name, Number(count));
  }
  return counts;
}

function readRule(chain: { ids: string[]; sets: string[] }, name: string, rule: string): void {
  chain.ids.push(ruleId(name, rule));
  if (!rule.includes('--match-set ')) return;
  for (const [, set = ''] of rule.matchAll(/--match-set (\S+)/g)) if (!chain.sets.includes(set)) chain.sets.push(set);
}

const lid = '-j RETURN';
/** Of the rule above old ones (delete-last.ts), in a chain of any style. */
export const lidId = normaliseKubeRule(lid);

/** In a cali chain a rule without a hash is somebody else's, but for a lid; its empty id equals none of ours. */
function ruleId(chain: string, rule: string): string {
  if (chain.startsWith('KUBE-')) return normaliseKubeRule(rule);
  return caliHash(rule) ?? (rule === lid ? lidId : '');
}

function readBuiltinRule(
  hooks: Map<BuiltinChain, ObservedHook[]>,
  lengths: Map<string, number>,
  { chain, rule, ownership }: { chain: BuiltinChain; rule: string; ownership: Ownership },
): void {
  const position = (lengths.get(chain) ?? 0) + 1;
  lengths.set(chain, position);
  if (!rule.includes('cali') && !ownership.services) return;
  const { id, target } = identifyHook(rule);
  if (caliHash(rule) === undefined && !ownsChain(target, ownership)) return;
  const hook = { position, id, text: rule, target };
  const found = hooks.get(chain);
  if (found === undefined) hooks.set(chain, [hook]);
  else found.push(hook);
}

function caliHash(rule: string): string | undefined {
  return /--comment "?cali:([\w-]{16})"?/.exec(rule)?.[1];
}

/** The kernel's own chains. */
export function isBuiltinChain(name: string): name is BuiltinChain {
  return ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].includes(name);
}

function wordAfter(words: readonly string[], word: string): string | undefined {
  const index = words.indexOf(word);
  return index < 0 ? undefined : words[index + 1];
}
