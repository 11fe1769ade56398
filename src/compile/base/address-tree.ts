/** From address to pod without asking every rule: networks of 16 parts each, as deep as needed. */
import { addressBucketChain, type ChainName } from '../../dataplane/names.ts';
import type { Chain, Match, Rule, Side } from '../../dataplane/rule.ts';
import { goTo } from '../../dataplane/rule-parts.ts';
import { bitsOf, cidrOf, familyOf, formatCidr, type IpAddress, ipToInteger } from '../../lib/ip.ts';

export interface AddressEntry {
  readonly address: IpAddress;
  /** Must match the address itself. */
  readonly rule: Rule;
}

export interface AddressTree {
  readonly root: ChainName;
  readonly side: Side;
  /** What the names of the parts begin with. */
  readonly bucketPrefix: 'cali-to-' | 'cali-from-' | 'cali-self-';
}

/** So few rules are asked one after the other. */
const fewRules = 8;
/** Networks end at multiples of four bits, so that a new pod seldom moves the others. */
const bitsPerLevel = 4;

/** The root and the chains below it. Addresses are distinct and of one family. */
export function addressChains(tree: AddressTree, entries: readonly AddressEntry[]): readonly Chain[] {
  const sorted = entries
    .map((entry) => ({ ...entry, value: ipToInteger(entry.address) }))
    .sort((left, right) => (left.value < right.value ? -1 : 1));
  return chainsBelow(tree.root, tree, sorted);
}

interface SortedEntry extends AddressEntry {
  readonly value: bigint;
}

function chainsBelow(name: ChainName, tree: AddressTree, entries: readonly SortedEntry[]): readonly Chain[] {
  const [first] = entries;
  const last = entries.at(-1);
  if (entries.length <= fewRules || first === undefined || last === undefined) {
    return [{ name, style: 'cali', rules: entries.map((entry) => entry.rule) }];
  }
  const bits = bitsOf(familyOf(first.address));
  const shared = bits - (first.value ^ last.value).toString(2).length;
  const length = shared - (shared % bitsPerLevel) + bitsPerLevel;
  const groups = Map.groupBy(entries, (entry) => entry.value >> BigInt(bits - length));
  const below: Chain[] = [];
  const rules = [...groups.values()].map((group) => {
    const [only] = group;
    if (only === undefined || group.length === 1) return (only ?? first).rule;
    const network = cidrOf(only.address, length);
    const bucket = addressBucketChain(tree.bucketPrefix, network);
    below.push(...chainsBelow(bucket, tree, group));
    const match: Match = { kind: 'address', side: tree.side, cidr: network };
    const origin = { note: `pods with an address in ${formatCidr(network)}` };
    return { matches: [match], action: goTo(bucket), comments: [], origin };
  });
  return [...below, { name, style: 'cali', rules }];
}
