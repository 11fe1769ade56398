import { expect, test } from 'vitest';
import { focusOf, sharesOf } from '../../e2e/suites/shares.ts';
import { SpecTeller } from '../../e2e/suites/spec-teller.ts';

test.each([
  [
    [1, 2, 3, 4, 5],
    2,
    [
      [1, 3, 5],
      [2, 4],
    ],
  ],
  [[1, 2], 3, [[1], [2]]],
  [[1, 2, 3], 1, [[1, 2, 3]]],
  [[], 2, []],
])('%j dealt out to %i: %j', (items, count, shares) => {
  expect(sharesOf(items, count)).toEqual(shares);
});

test('a focus has the specs named in a report, and none whose name goes on', () => {
  const focus = new RegExp(
    focusOf([
      '[sig-network] Services should serve (a+b) [Conformance] [sig-network, Conformance]',
      '[sig-network] Netpol should [Feature:NetworkPolicy] [sig-network, Feature:NetworkPolicy]',
      '[sig-network] DNS should provide DNS for services [sig-network]',
    ]),
  );
  const specs = [
    '[sig-network] Services should serve (a+b) [Conformance]',
    '[sig-network] Netpol should [Feature:NetworkPolicy]',
    '[sig-network] DNS should provide DNS for services',
    '[sig-network] DNS should provide DNS for services too',
    '[sig-network] Services should serve aab [Conformance]',
  ];
  expect(specs.map((spec) => focus.test(spec))).toEqual([true, true, true, false, false]);
});

test("each spec that ends is told with its name, whatever the pieces of the program's output are", () => {
  const told: string[] = [];
  const teller = new SpecTeller((line) => told.push(line));
  const output =
    '[sig-network] a [Conformance]\n  log\n• [1.250 seconds]\n---\n[sig-network] b\n• [FAILED] [61.000 seconds]\n';
  for (const character of output) teller.hear(character);
  expect(told).toEqual(['passed 1 s: [sig-network] a [Conformance]', 'failed 61 s: [sig-network] b']);
});
