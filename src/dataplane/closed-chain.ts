/** What stands in for a chain that cannot be what it should be: never more open than the real one. */
import { sameValue } from '../lib/same-value.ts';
import { chainName } from './names.ts';
import type { ObservedChain } from './observed.ts';
import type { Chain, Rule } from './rule.ts';

/** Policies and profiles accept by mark, Services by DNAT: empty, they let nothing through. */
const closedWhenEmpty = /^(?:cali-(?:pi|po|pri|pro)-|KUBE-(?:SVC|SVL|SEP|EXT|FW)-)/;
/** One workload's chains: a drop closes this workload alone. */
const closedByDrop = /^cali-(?:tw|fw|src)-/;

/** Absent: closing this chain would cut more than one object, so its last good text is kept. */
export function closedChain(chain: Chain): Chain | undefined {
  if (closedWhenEmpty.test(chain.name)) return { ...chain, rules: [] };
  if (closedByDrop.test(chain.name)) return { ...chain, rules: [drop] };
  return undefined;
}

/**
 * The chain without a set that is about to go for a moment: what the set's rules dropped is dropped for everybody, what they let
 * through is let through for nobody.
 */
export function withoutSet(chain: Chain, set: string): Chain {
  const rules = chain.rules.flatMap((rule) => {
    const others = rule.matches.filter((match) => match.kind !== 'ipset' || match.set !== set);
    if (others.length === rule.matches.length) return [rule];
    return rule.action.kind === 'drop' ? [{ ...rule, matches: others }] : [];
  });
  return { ...chain, rules };
}

/**
 * A source check that lets through only what it also did before. Undefined where it does so anyway, where it was emptied by somebody
 * and so let through everything, and for other chains.
 */
export function narrowedCheck(chain: Chain, found: ObservedChain): Chain | undefined {
  if (!chain.name.startsWith('cali-src-') || isEmpty(found)) return undefined;
  if (found.kind !== 'written') return closedChain(chain);
  const before = found.chain.rules;
  const isKept = ({ matches, action }: Rule): boolean =>
    action.kind === 'drop' || before.some((rule) => sameValue([rule.matches, rule.action], [matches, action]));
  const rules = chain.rules.filter(isKept);
  return rules.length === chain.rules.length ? undefined : { ...chain, rules };
}

function isEmpty(found: ObservedChain): boolean {
  if (found.kind === 'written') return found.chain.rules.length === 0;
  return found.kind === 'read' && found.ids.length === 0;
}

/** For a chain that is in the kernel but wanted by nobody. */
export function closedStaleChain(name: string): Chain {
  const chain: Chain = { name: chainName(name), style: name.startsWith('cali-') ? 'cali' : 'kube', rules: [] };
  return closedChain(chain) ?? { ...chain, rules: [drop] };
}

const drop: Rule = {
  matches: [],
  action: { kind: 'drop' },
  comments: [],
  origin: { note: 'stands in for rules that the kernel refused' },
};
