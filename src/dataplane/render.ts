/** Chains as restore lines. */
import { ruleHashes } from './hash.ts';
import type { Chain, ChainStyle, Rule } from './rule.ts';
import { caliRuleText, kubeRuleText } from './rule-text.ts';

/** The `-A` lines of a chain, hash comments included. */
export function renderChain(chain: Chain): readonly string[] {
  return renderRules(chain.name, chain.style, chain.rules);
}

/** As `renderChain`, for rules that go into a chain called `name`. */
export function renderRules(name: string, style: ChainStyle, rules: readonly Rule[]): readonly string[] {
  if (style === 'kube') return rules.map((rule) => kubeRuleText(name, rule));
  const hashes = ruleHashes(name, rules);
  return rules.map((rule, index) => caliRuleText(name, rule, `-m comment --comment "cali:${hashes[index]}"`));
}
