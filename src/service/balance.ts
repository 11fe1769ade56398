/**
 * Load balancing over many endpoints as a tree of `statistic` rules, so that a connection passes O(log n) of them. Where an endpoint stands
 * follows from its own name, so one that comes or goes rewrites one branch; the weights keep every endpoint at exactly 1/n.
 */
import type { ChainName } from '../dataplane/names.ts';
import type { Chain, Match, Origin, Rule } from '../dataplane/rule.ts';
import { balanceChain } from './names.ts';
import { jump, makeRule, type RuleText } from './rules.ts';

/** One endpoint to choose: its KUBE-SEP chain and the comment of the rule that leads there. */
export interface Choice {
  readonly chain: ChainName;
  readonly comment?: string;
}

export interface Balancing {
  /** For the chain called `name` itself. */
  readonly rules: readonly Rule[];
  /** The branches. */
  readonly chains: readonly Chain[];
}

/** Up to this many endpoints are one list, as kube-proxy writes it. */
export const balanceListLimit = 8;
const branchLimit = 16;
const maxDepth = 2;
/** Where the hash starts in `KUBE-SEP-<hash>`. */
const hashStart = 'KUBE-SEP-'.length;

/** Rules for `name` that choose one of `choices`, each with the same probability. */
export function balance(name: ChainName, choices: readonly Choice[], text: BalanceText): Balancing {
  return branch({ name, text, place: '' }, choices);
}

export interface BalanceText {
  /** Comment of a rule that leads to a branch. */
  readonly comment?: string;
  readonly origin: Origin;
}

interface Place {
  readonly name: ChainName;
  readonly text: BalanceText;
  /** Hex digits of the way from the root. */
  readonly place: string;
}

function branch(at: Place, choices: readonly Choice[]): Balancing {
  const isList = choices.length <= (at.place === '' ? balanceListLimit : branchLimit) || at.place.length === maxDepth;
  const groups = isList ? choices.map((choice) => [choice]) : group(choices, at.place.length);
  const chains: Chain[] = [];
  const rules: Rule[] = [];
  let remaining = choices.length;
  for (const [index, members] of groups.entries()) {
    if (members.length === 0) continue;
    const matches = chance(members.length, remaining);
    remaining -= members.length;
    const [only] = members;
    if (members.length === 1 && only !== undefined) {
      rules.push(makeRule(choiceText(only, at.text.origin), matches, jump(only.chain)));
      continue;
    }
    const below = { ...at, place: at.place + index.toString(16) };
    const name = balanceChain(at.name, below.place);
    const inner = branch(below, members);
    chains.push({ name, style: 'kube', rules: inner.rules }, ...inner.chains);
    rules.push(makeRule(at.text, matches, jump(name)));
  }
  return { rules, chains };
}

/** The text of a rule that leads to one endpoint. */
export function choiceText({ comment }: Choice, origin: Origin): RuleText {
  return comment === undefined ? { origin } : { comment, origin };
}

/** By the low bits of the hash's base32 character at `depth`: they are evenly spread. */
function group(choices: readonly Choice[], depth: number): readonly (readonly Choice[])[] {
  const groups: Choice[][] = Array.from({ length: fanOut(choices.length) }, () => []);
  for (const choice of choices) {
    const code = choice.chain.charCodeAt(hashStart + depth);
    const value = code >= codeOfA ? code - codeOfA : code - codeOf2 + 26;
    groups[value % groups.length]?.push(choice);
  }
  return groups;
}

const codeOfA = 65;
const codeOf2 = 50;

/** Near the square root, so that finding the branch costs what the branch costs; powers of two, so that it seldom changes. */
function fanOut(count: number): number {
  return count <= 32 ? 4 : count <= 128 ? 8 : 16;
}

/** The last rule needs no dice. */
function chance(share: number, remaining: number): readonly Match[] {
  return share === remaining ? [] : [{ kind: 'probability', probability: share / remaining }];
}
