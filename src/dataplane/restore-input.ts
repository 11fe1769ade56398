/** Kernel writes as text for iptables-restore and ipset restore. One restore input holds one table. */
import { bitsOf } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { HookWrite, KernelWrite, SetWrite } from './kernel-write.ts';
import { temporarySetName } from './names.ts';
import { renderChain, renderRules } from './render.ts';
import type { Chain, Hook, IpSet, Rule } from './rule.ts';
import { maxElements } from './set-size.ts';

export type TableWrite = Extract<
  KernelWrite,
  { kind: 'write-chains' | 'trim-chains' | 'remove-chains' | 'write-hooks' }
>;

/** A restore input, and which chain each of its lines is about (none for the frame). */
export interface RestoreInput {
  readonly text: string;
  /** Index: line number less 1. */
  readonly chainOfLine: readonly (string | undefined)[];
}

/** `:chain`, `-A` and `-X` lines; -I and -D for hooks and for chains whose old rules go later. */
export function tableInput(write: TableWrite): RestoreInput {
  const lines: string[] = [`*${write.table}`];
  const chainOfLine: (string | undefined)[] = [undefined];
  for (const [chain, line] of linesOf(write)) {
    lines.push(line);
    chainOfLine.push(chain);
  }
  lines.push('COMMIT', '');
  chainOfLine.push(undefined);
  return { text: lines.join('\n'), chainOfLine };
}

type ChainLine = readonly [chain: string, line: string];

function linesOf(write: TableWrite): Iterable<ChainLine> {
  switch (write.kind) {
    case 'write-chains':
      return chainLines(write);
    case 'trim-chains':
      return write.chains.flatMap(({ name, stay, go }) =>
        Array.from({ length: go }, (): ChainLine => [name, `-D ${name} ${stay + 1}`]),
      );
    case 'remove-chains':
      return [
        ...write.names.map((name): ChainLine => [name, `:${name} - -`]),
        ...write.names.map((name): ChainLine => [name, `-X ${name}`]),
      ];
    case 'write-hooks':
      return write.hooks.flatMap((hook) => hookLines(hook).map((line): ChainLine => [hook.chain, line]));
    default:
      return unreachable(write);
  }
}

function* chainLines({ chains, covered }: Extract<TableWrite, { kind: 'write-chains' }>): Generator<ChainLine> {
  // All declared before any rule: chains of one transaction may refer to each other.
  for (const { name } of chains) if (covered?.has(name) !== true) yield [name, `:${name} - -`];
  for (const chain of chains) {
    const lines = covered?.has(chain.name) === true ? coveringLines(chain) : renderChain(chain);
    for (const line of lines) yield [chain.name, line];
  }
}

/** `-A` lines of the hooks of one built-in chain and one position, hash comments included. */
export function renderHooks(hooks: readonly Hook[]): readonly string[] {
  const caliRules = hooks.filter(({ style }) => style === 'cali').map(({ rule }) => rule);
  const chain = hooks[0]?.chain ?? '';
  const caliLines = renderRules(chain, 'cali', caliRules);
  const lineOf = new Map<Rule, string | undefined>(caliRules.map((rule, index) => [rule, caliLines[index]]));
  return hooks.map(({ style, rule }) => (style === 'kube' ? undefined : lineOf.get(rule)) ?? kubeLine(chain, rule));
}

/** The whole chain above what is in it: whoever has passed these rules returns, as from the end of the chain. */
function coveringLines(chain: Chain): readonly string[] {
  const lines = [...renderChain(chain), `-A ${chain.name} -j RETURN`];
  return lines.toReversed().map((line) => `-I${line.slice('-A'.length)}`);
}

/**
 * Creations first, then all that closes, then all that opens: a restore of sets is no transaction, and no packet may find the peers
 * that the receiver had beside those that the sender has now. So what leaves leaves first, and maxelem is never passed on the way.
 */
export function ipSetLines(writes: readonly SetWrite[]): readonly string[] {
  const closers = writes.filter(({ set }) => set.closing !== undefined);
  const openers = writes.filter(({ set }) => set.closing === undefined);
  return [
    ...writes.flatMap(({ set, create }) => (create ? [createLine(set, set.name)] : [])),
    ...openers.flatMap(deletions),
    ...closers.flatMap(additions),
    ...closers.flatMap(deletions),
    ...openers.flatMap(additions),
  ];
}

function additions({ set, add }: SetWrite): readonly string[] {
  return add.map((member) => `add ${set.name} ${member}`);
}

function deletions({ set, remove }: SetWrite): readonly string[] {
  return remove.map((member) => `del ${set.name} ${member}`);
}

/** A temporary set with everything that `set` should hold. */
export function temporarySetLines(set: IpSet): readonly string[] {
  const name = temporarySetName(0, set.family);
  return [createLine(set, name), ...[...kernelMembers(set)].map((member) => `add ${name} ${member}`)];
}

/** Members as the kernel keeps them: it knows no /0, so that is two /1. */
export function kernelMembers(set: IpSet): ReadonlySet<string> {
  const zero = everythingIn(set);
  if (!set.members.has(zero)) return set.members;
  return new Set([...set.members].flatMap((member) => (member === zero ? halvesOfEverything(set) : [member])));
}

/** How many those are, without making them: a look every few seconds asks of every set. */
export function kernelMemberCount(set: IpSet): number {
  const { members } = set;
  if (!members.has(everythingIn(set))) return members.size;
  const halves = halvesOfEverything(set).filter((half) => !members.has(half));
  return members.size - 1 + halves.length;
}

/** `create cali40s:... hash:net family inet maxelem 65536` */
function createLine(set: IpSet, name: string): string {
  const family = set.family === 'ipv4' ? 'inet' : 'inet6';
  return `create ${name} ${set.type} family ${family} maxelem ${maxElements(set.members.size)}`;
}

function everythingIn({ family }: IpSet): string {
  return family === 'ipv4' ? '0.0.0.0/0' : '::/0';
}

function halvesOfEverything(set: IpSet): readonly string[] {
  return bitsOf(set.family) === 32 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
}

/** -D by the rule's text, never by its number: others may write between our read and our write. */
function hookLines({ chain, deletes, inserts, appends }: HookWrite): readonly string[] {
  return [
    ...deletes.map((rule) => `-D ${chain} ${rule}`),
    ...inserts.toReversed().map((rule) => `-I ${chain} ${rule}`),
    ...appends.map((rule) => `-A ${chain} ${rule}`),
  ];
}

function kubeLine(chain: string, rule: Rule): string {
  return renderRules(chain, 'kube', [rule])[0] ?? '';
}
