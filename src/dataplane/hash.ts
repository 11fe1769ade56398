/** Felix's rule hashes (felix.md 1.5): a chain of SHA-224 over the chain's name and each rule's text, so a change at k changes every later id. */
import { createHash } from 'node:crypto';
import type { Rule } from './rule.ts';
import { hashInput } from './rule-text.ts';

/** One 16-character id a rule, in order. */
export function ruleHashes(chain: string, rules: readonly Rule[]): readonly string[] {
  let previous = createHash('sha224').update(chain).digest();
  return rules.map((rule) => {
    previous = createHash('sha224').update(previous).update(hashInput(chain, rule)).digest();
    return previous.toString('base64url').slice(0, 16);
  });
}
