/** Dispatch chains (KUBE-SERVICES and its like): one list while short, a tree of sub-chains when long. Keys are what a rule matches, in hex digits. */
import type { Protocol } from '../cluster/objects.ts';
import type { ChainName } from '../dataplane/names.ts';
import type { Action, Chain, Match, Rule } from '../dataplane/rule.ts';
import { flat } from '../lib/compact.ts';
import { type IpAddress, type IpFamily, familyOf, ipFromInteger, ipToInteger } from '../lib/ip.ts';
import { countOf, entriesOf, type Inner, type Tree } from './dispatch-tree.ts';
import { dispatchChain } from './names.ts';
import { cidrIs, makeRule, protocolIs } from './rules.ts';

/** How one list of rules is spread over chains. */
export interface DispatchShape {
  /** Sub-chains are called `<base>-<hex digits>`. */
  readonly base: string;
  readonly family: IpFamily;
  /** What keys begin with: an address, or at once the protocol. */
  readonly keys: 'address' | 'port';
}

export type RuleTree = Tree<Rule>;

/** Up to this many rules a dispatch chain is a plain list, as kube-proxy writes it. */
const listLimit = 32;
const portDigits = 4;
const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** Address, protocol, port. */
export function addressKey(address: IpAddress, protocol: Protocol, port: number): string {
  const digits = addressDigits(familyOf(address));
  return flat(ipToInteger(address).toString(16).padStart(digits, '0'), portKeyOf(protocol, port));
}

/** Protocol, port. */
export function portKeyOf(protocol: Protocol, port: number): string {
  return flat(String(protocols.indexOf(protocol)), port.toString(16).padStart(portDigits, '0'));
}

/** The rules for the dispatch chain itself. */
export function rootRules(tree: RuleTree | undefined, shape: DispatchShape): readonly Rule[] {
  if (!isTree(tree)) return entriesOf(tree).map((entry) => entry.value);
  // One match for all of it: what goes nowhere near a Service passes one rule.
  if (tree.prefix !== '') return [branchRule(tree.prefix, 'jump', shape)];
  return innerRules(tree, 'jump', shape);
}

/** Every sub-chain's name and the node it is made from. */
export function* branches(tree: RuleTree | undefined, shape: DispatchShape): Generator<readonly [ChainName, RuleTree]> {
  if (!isTree(tree)) return;
  if (tree.prefix !== '') yield [dispatchChain(shape.base, tree.prefix), tree];
  yield* branchesBelow(tree, shape);
}

export function renderBranch(name: ChainName, tree: RuleTree, shape: DispatchShape): Chain {
  const rules = tree.kind === 'leaf' ? tree.entries.map((entry) => entry.value) : innerRules(tree, 'goto', shape);
  return { name, style: 'kube', rules };
}

function isTree(tree: RuleTree | undefined): tree is Inner<Rule> {
  return tree?.kind === 'inner' && tree.count > listLimit;
}

function* branchesBelow(tree: Inner<Rule>, shape: DispatchShape): Generator<readonly [ChainName, RuleTree]> {
  for (const [digit, child] of tree.children.entries()) {
    if (child === undefined || countOf(child) === 1) continue;
    yield [dispatchChain(shape.base, prefixOf(tree, digit, child)), child];
    if (child.kind === 'inner') yield* branchesBelow(child, shape);
  }
}

/** Inside the tree goto: a packet that matches nothing returns to the dispatch chain at once. */
function innerRules(tree: Inner<Rule>, how: 'jump' | 'goto', shape: DispatchShape): readonly Rule[] {
  return tree.children.flatMap((child, digit) => {
    if (child === undefined) return [];
    if (countOf(child) === 1) return entriesOf(child).map((entry) => entry.value);
    return [branchRule(prefixOf(tree, digit, child), how, shape)];
  });
}

/** A leaf is named by its place, not by what its entries share: an entry more does not rename it. */
function prefixOf(parent: Inner<Rule>, digit: number, child: RuleTree): string {
  return child.kind === 'inner' ? child.prefix : parent.prefix + digit.toString(16);
}

function branchRule(prefix: string, how: 'jump' | 'goto', shape: DispatchShape): Rule {
  const action: Action = { kind: how, chain: dispatchChain(shape.base, prefix) };
  return makeRule({ origin: { note: 'finds the Service in few steps' } }, matchesOf(prefix, shape), action);
}

function matchesOf(prefix: string, shape: DispatchShape): readonly Match[] {
  if (shape.keys === 'port') return portMatches(prefix);
  const digits = addressDigits(shape.family);
  const network = ipFromInteger(BigInt(`0x${prefix.slice(0, digits).padEnd(digits, '0')}`), shape.family);
  const prefixLength = 4 * Math.min(prefix.length, digits);
  const address = cidrIs('destination', { family: shape.family, address: network, prefixLength });
  return [...portMatches(prefix.slice(digits)), address];
}

/** The protocol's own match comes first: multiport needs it. */
function portMatches(prefix: string): readonly Match[] {
  if (prefix === '') return [];
  const protocol = protocolIs(protocols[Number(prefix.charAt(0))] ?? 'TCP');
  if (prefix.length === 1) return [protocol];
  const first = Number.parseInt(prefix.slice(1).padEnd(portDigits, '0'), 16);
  const last = Number.parseInt(prefix.slice(1).padEnd(portDigits, 'f'), 16);
  return [protocol, { kind: 'ports', side: 'destination', ports: [{ first, last }] }];
}

function addressDigits(family: IpFamily): number {
  return family === 'ipv4' ? 8 : 32;
}
