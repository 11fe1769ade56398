/** Every endpoint gets exactly 1/n of the connections, few rules lead there, and a change rewrites one branch. */
import { expect, test } from 'vitest';
import type { Chain } from '../../src/dataplane/rule.ts';
import { complementOf, productOf, type Share, shareOf, wholeShare } from '../../src/dataplane/trace/share.ts';
import { Bench, endpoint, service, slice } from './fixtures.ts';

const key = 'ns/web';

function backed(count: number, first = 0): Bench {
  return new Bench({}, ['ipv4']).set(service(key), slice(key, addresses(count, first)));
}

function addresses(count: number, first = 0) {
  return Array.from({ length: count }, (_, index) => {
    const number = first + index;
    return endpoint(`10.1.${Math.floor(number / 250)}.${(number % 250) + 1}`);
  });
}

interface Leaf {
  readonly share: Share;
  /** Rules held against the packet, from the top of KUBE-SVC. */
  readonly rules: number;
}

/** Every way down from `name` to a KUBE-SEP chain: the exact product of its probabilities. */
function leaves(bench: Bench, name: string): ReadonlyMap<string, Leaf> {
  const found = new Map<string, Leaf>();
  const walk = (chain: Chain, start: Leaf): void => {
    let rest = start.share;
    for (const [index, rule] of chain.rules.entries()) {
      if (rule.action.kind !== 'jump' || rule.action.chain === 'KUBE-MARK-MASQ') continue;
      const [match] = rule.matches;
      const taken = match?.kind === 'probability' ? shareOf(match.probability) : wholeShare;
      const at: Leaf = { share: productOf(rest, taken), rules: start.rules + index + 1 };
      rest = productOf(rest, complementOf(taken));
      const next = bench.dataplane.tables.ipv4.chains.nat.get(rule.action.chain);
      if (rule.action.chain.startsWith('KUBE-SEP-')) found.set(rule.action.chain, at);
      else if (next !== undefined) walk(next, at);
    }
    expect(rest.numerator).toBe(0n);
  };
  const root = [...bench.dataplane.tables.ipv4.chains.nat.values()].find((chain) => chain.name === name);
  if (root !== undefined) walk(root, { share: wholeShare, rules: 0 });
  return found;
}

function rootOf(bench: Bench): string {
  return bench.chainNames('nat').find((name) => /^KUBE-SVC-\w{16}$/.test(name)) ?? '';
}

const counts = [...Array.from({ length: 40 }, (_, index) => index + 1), 64, 100, 129, 300, 1000, 5000];

test.each(counts)('%i endpoints: each exactly 1/n', (count) => {
  const bench = backed(count);
  const found = [...leaves(bench, rootOf(bench)).values()];
  expect(found).toHaveLength(count);
  expect(found.filter(({ share }) => share.numerator !== 1n || share.denominator !== BigInt(count))).toEqual([]);
});

test.each([
  [8, 9],
  [100, 26],
  [1000, 40],
  [5000, 80],
])('%i endpoints: at most %i rules', (count, limit) => {
  const bench = backed(count);
  const most = Math.max(...[...leaves(bench, rootOf(bench)).values()].map(({ rules }) => rules));
  expect(most).toBeLessThanOrEqual(limit);
});

test('up to 8 endpoints there is one chain, as kube-proxy has it', () => {
  const chains = (count: number) =>
    backed(count)
      .chainNames('nat')
      .filter((name) => name.startsWith('KUBE-SVC-'));
  expect(chains(8)).toHaveLength(1);
  expect(chains(9).length).toBeGreaterThan(1);
});

test.each([40, 1000])('one of %i endpoints changes: its chains and one branch are written', (count) => {
  const bench = backed(count);
  const before = bench.chainNames('nat');
  bench.set(slice(key, [...addresses(count - 1), endpoint('10.2.0.1')]));
  const added = bench.chainNames('nat').filter((name) => !before.includes(name));
  expect(added.filter((name) => name.startsWith('KUBE-SEP-'))).toHaveLength(1);
  // Two KUBE-SEP, and the branches where the old one was and the new one is, each with those above it.
  expect(bench.touched.length).toBeLessThanOrEqual(2 + 5);
});

test('policy Local is balanced over the local endpoints in the same way', () => {
  const local = addresses(30).map((one) => ({ ...one, nodeName: 'here' }));
  const bench = new Bench({}, ['ipv4']).set(service(key, { internalTrafficPolicy: 'Local' }), slice(key, local));
  const root = bench.chainNames('nat').find((name) => /^KUBE-SVL-\w{16}$/.test(name)) ?? '';
  const shares = [...leaves(bench, root).values()].map(({ share }) => share.denominator);
  expect(shares).toEqual(Array.from({ length: 30 }, () => 30n));
});

test('affinity is asked before the tree, for every endpoint', () => {
  const sticky = service(key, { sessionAffinitySeconds: 60 });
  const bench = new Bench({}, ['ipv4']).set(sticky, slice(key, addresses(20)));
  const rules = bench.rules('nat', rootOf(bench));
  expect(rules.findLastIndex((rule) => rule.includes('-m recent'))).toBe(20);
  expect(rules.findIndex((rule) => rule.includes('-m statistic'))).toBe(21);
});
