import { describe, expect, test } from 'vitest';
import { ruleHashes } from '../../src/dataplane/hash.ts';
import { chainName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Rule } from '../../src/dataplane/rule.ts';
import {
  accept,
  clearMark,
  drop,
  goTo,
  hasMark,
  jumpTo,
  returnToCaller,
  setMark,
} from '../../src/dataplane/rule-parts.ts';
import { felixVectors, type VectorChain } from '../vectors/felix.ts';

const { chains } = felixVectors<{ chains: readonly VectorChain[] }>('rule-hashes.json');

function rule(action: Rule['action'], matches: Rule['matches'] = [], ...comments: string[]): Rule {
  return { matches, action, comments, origin: {} };
}

const http: Rule['matches'] = [
  { kind: 'protocol', protocol: 'tcp' },
  { kind: 'ports', side: 'destination', ports: [{ first: 80, last: 80 }] },
];

const rulesOf: Readonly<Record<string, readonly Rule[]>> = {
  'cali-empty': [],
  'cali-one': [rule(drop)],
  'cali-one-b': [rule(drop)],
  'cali-two': [rule(accept, http), rule(drop)],
  'cali-three': [
    rule(accept, [{ kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] }]),
    rule(accept, http, 'a comment', 'odd chars: "\'$`\\;|<>é'),
    rule(drop),
  ],
  'cali-nomatch': [
    rule(setMark(0x10000)),
    rule(clearMark(0x30000)),
    rule({ kind: 'set-mark', value: 0x80000, mask: 0x180000 }),
    rule(returnToCaller),
    rule(jumpTo(chainName('cali-x'))),
    rule(goTo(chainName('cali-y'))),
  ],
};

describe("Felix's hashes", () => {
  test.each(chains)('$chain', ({ chain, rules, hashes }) => {
    const own = rulesOf[chain] ?? [];
    expect(own).toHaveLength(rules.length);
    expect(ruleHashes(chain, own)).toEqual(hashes);
    expect(renderChain({ name: chainName(chain), style: 'cali', rules: own })).toEqual(rules);
  });

  test('every vector has its rules here', () => {
    expect(chains.map(({ chain }) => chain).sort()).toEqual(Object.keys(rulesOf).sort());
  });
});

test('a change at one place changes the hashes from there on, and none before', () => {
  const before = ruleHashes('cali-x', [rule(accept), rule(drop), rule(drop)]);
  const after = ruleHashes('cali-x', [rule(accept), rule(drop, [hasMark(1)]), rule(drop)]);
  expect(after.map((hash, index) => hash === before[index])).toEqual([true, false, false]);
});
