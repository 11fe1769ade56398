import { expect, test } from 'vitest';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { KernelWrite, Step } from '../../src/dataplane/kernel-write.ts';
import { chainName } from '../../src/dataplane/names.ts';
import { ObservedStore } from '../../src/dataplane/observed-store.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { cutIntoPieces, leavesFirst, legacyPieces, nftPieces } from '../../src/dataplane/pieces.ts';
import { planCleanup, planResync, planSteps } from '../../src/dataplane/plan.ts';
import { cidrOf } from '../../src/lib/ip.ts';
import { unreachable } from '../../src/lib/unreachable.ts';
import { ip } from '../addresses.ts';
import { closedChain, withoutSet } from '../../src/dataplane/closed-chain.ts';
import { chainOf, dataplaneOf, hookOf, inSet, jumpTo, ruleOf, setOf } from '../fakes/dataplanes.ts';

const drop = ruleOf({ kind: 'drop' });
const accept = ruleOf({ kind: 'accept' });

/** The kernel after all of `steps`. */
function carryOut(observed: ObservedStore, steps: readonly Step[]): ObservedStore {
  for (const { writes } of steps) for (const write of writes) observed.apply(write);
  return observed;
}

function synced(dataplane: Dataplane): ObservedStore {
  const observed = new ObservedStore();
  return carryOut(observed, planResync(dataplane, observed));
}

function kinds(steps: readonly Step[]): readonly string[] {
  return steps.map(({ writes }) => writes.map(describeWrite).join(' | '));
}

function describeWrite(write: KernelWrite): string {
  switch (write.kind) {
    case 'write-sets':
      return `sets ${write.sets.map(({ set }) => set.name).join(' ')}`;
    case 'resize-set':
      return `resize ${write.set.name}`;
    case 'destroy-sets':
      return `destroy ${write.names.join(' ')}`;
    case 'write-chains':
      return `${write.family} ${write.table} ${write.chains.map(({ name }) => name).join(' ')}`;
    case 'trim-chains':
      return `${write.family} ${write.table} trim ${write.chains.map(({ name, stay, go }) => `${name} ${stay}-${go}`).join(' ')}`;
    case 'remove-chains':
      return `${write.family} ${write.table} without ${write.names.join(' ')}`;
    case 'write-hooks':
      return `${write.family} ${write.table} hooks ${write.hooks.map(({ chain }) => chain).join(' ')}`;
    default:
      return unreachable(write);
  }
}

test('both families go side by side, tables one after the other, the guard (mangle) last in and first out', () => {
  const both = dataplaneOf({
    chains: { raw: [chainOf('cali-raw')], mangle: [chainOf('cali-guard')], filter: [chainOf('cali-FORWARD')] },
    hooks: [
      hookOf('PREROUTING', 'cali-raw', { table: 'raw' }),
      hookOf('POSTROUTING', 'cali-guard', { table: 'mangle' }),
      hookOf('FORWARD', 'cali-FORWARD'),
    ],
    families: ['ipv4', 'ipv6'],
  });
  expect(kinds(planResync(both, new ObservedStore()))).toEqual([
    'ipv4 raw cali-raw | ipv6 raw cali-raw',
    'ipv4 filter cali-FORWARD | ipv6 filter cali-FORWARD',
    'ipv4 mangle cali-guard | ipv6 mangle cali-guard',
    'ipv4 raw hooks PREROUTING | ipv6 raw hooks PREROUTING',
    'ipv4 filter hooks FORWARD | ipv6 filter hooks FORWARD',
    'ipv4 mangle hooks POSTROUTING | ipv6 mangle hooks POSTROUTING',
  ]);
  expect(kinds(planCleanup(synced(both)))).toEqual([
    'ipv4 mangle hooks POSTROUTING | ipv6 mangle hooks POSTROUTING',
    'ipv4 filter hooks FORWARD | ipv6 filter hooks FORWARD',
    'ipv4 raw hooks PREROUTING | ipv6 raw hooks PREROUTING',
    'ipv4 mangle without cali-guard | ipv6 mangle without cali-guard',
    'ipv4 filter without cali-FORWARD | ipv6 filter without cali-FORWARD',
    'ipv4 raw without cali-raw | ipv6 raw without cali-raw',
  ]);
});

test('a new chain is written before the old one that comes to refer to it, and an old one leaves after', () => {
  const before = dataplaneOf({
    chains: { filter: [chainOf('cali-tw-a', ruleOf(jumpTo('cali-pi-old'))), chainOf('cali-pi-old')] },
  });
  const tw = chainOf('cali-tw-a', ruleOf(jumpTo('cali-pi-new')));
  const pi = chainOf('cali-pi-new', drop);
  const after = dataplaneOf({ chains: { filter: [tw, pi] } });
  const change = { family: 'ipv4', table: 'filter' } as const;
  const delta = {
    ipSets: [],
    chains: [
      { ...change, name: chainOf('cali-pi-old').name },
      { ...change, name: tw.name, chain: tw },
      { ...change, name: pi.name, chain: pi },
    ],
    hooks: [],
  };
  const steps = planSteps(delta, after, synced(before));
  expect(kinds(steps)).toEqual(['ipv4 filter cali-pi-new cali-tw-a', 'ipv4 filter without cali-pi-old']);
  expect(kinds(planResync(after, synced(before)))).toEqual(kinds(steps));
});

test('old rules of all but the last transaction go in the end, before the chains and sets that they refer to', () => {
  const set = setOf('s:old', ['10.0.0.1']);
  const families = ['ipv4', 'ipv6'] as const;
  const old = chainOf('cali-pi-a', ruleOf(jumpTo('cali-old'), inSet(set.name)), drop);
  const before = dataplaneOf({ sets: [set], chains: { filter: [old, chainOf('cali-old')] }, families });
  const pi = chainOf('cali-pi-a', drop);
  const changes = families.flatMap((family) => [
    { family, table: 'filter', name: pi.name, chain: pi } as const,
    { family, table: 'filter', name: chainName('cali-old') } as const,
  ]);
  const ipSets = [{ kind: 'remove', name: set.name, family: 'ipv4' } as const];
  const after = dataplaneOf({ chains: { filter: [pi] }, families });
  const steps = planSteps({ ipSets, chains: changes, hooks: [] }, after, synced(before));
  expect(kinds(steps)).toEqual([
    'ipv4 filter cali-pi-a | ipv6 filter cali-pi-a',
    'ipv4 filter trim cali-pi-a 1-3',
    'ipv4 filter without cali-old | ipv6 filter without cali-old',
    `destroy ${set.name}`,
  ]);
  const alone = planSteps({ ipSets, chains: changes.slice(0, 2), hooks: [] }, after, synced(before));
  expect(kinds(alone)).toEqual(['ipv4 filter cali-pi-a', 'ipv4 filter without cali-old', `destroy ${set.name}`]);
});

test.each([
  ['a small change', 12, nftPieces, 1],
  ['a large one: deleting rule by rule takes longer than the wait', 101, nftPieces, 0],
  ['a kernel that does not wait', 12, legacyPieces, 0],
] as const)('%s: %i rules', (_, count, limits, expected) => {
  const families = ['ipv4', 'ipv6'] as const;
  const many = (...rules: Chain['rules']): Dataplane => {
    const filter = Array.from({ length: count }, (__, at) => chainOf(`cali-pi-${at}`, ...rules));
    return dataplaneOf({ chains: { filter }, families });
  };
  const after = many(drop);
  const chains = families.flatMap((family) =>
    [...after.tables[family].chains.filter.values()].map(
      (chain) => ({ family, table: 'filter', name: chain.name, chain }) as const,
    ),
  );
  const steps = planSteps({ ipSets: [], chains, hooks: [] }, after, synced(many(accept)), limits);
  expect(steps.flatMap(({ writes }) => writes).filter(({ kind }) => kind === 'trim-chains')).toHaveLength(expected);
});

test('a change that is in the kernel already costs nothing', () => {
  const chain = chainOf('cali-pi-a', drop);
  const set = setOf('s:a', ['10.0.0.1']);
  const dataplane = dataplaneOf({ sets: [set], chains: { filter: [chain] } });
  const again = {
    ipSets: [
      { kind: 'create', set },
      { kind: 'members', set, added: ['10.0.0.1'], removed: ['10.0.0.2'] },
    ],
    chains: [
      { family: 'ipv4', table: 'filter', name: chain.name, chain: chainOf('cali-pi-a', drop) },
      { family: 'ipv4', table: 'filter', name: chainOf('cali-gone').name },
    ],
    hooks: [{ family: 'ipv4', hooks: [] }],
  } as const;
  expect(planSteps(again, dataplane, synced(dataplane))).toEqual([]);
});

test('leaves first, however deep, and each chain once', () => {
  const a = chainOf('a', ruleOf(jumpTo('b')), ruleOf({ kind: 'goto', chain: chainOf('c').name }));
  const b = chainOf('b', ruleOf(jumpTo('d')));
  const c = chainOf('c', ruleOf(jumpTo('d')), ruleOf(jumpTo('elsewhere')));
  const d = chainOf('d');
  expect(leavesFirst([a, b, c, d]).map(({ name }) => name)).toEqual(['d', 'b', 'c', 'a']);
  expect(leavesFirst([d, c, b, a]).map(({ name }) => name)).toEqual(['d', 'b', 'c', 'a']);
});

test('a chain comes soon after those it jumps to, wherever they stood', () => {
  const leaves = ['x1', 'x2', 'y1', 'y2'].map((name) => chainOf(name));
  const x = chainOf('x', ruleOf(jumpTo('x1')), ruleOf(jumpTo('x2')));
  const y = chainOf('y', ruleOf(jumpTo('y1')), ruleOf(jumpTo('y2')));
  const names = leavesFirst([...leaves, x, y]).map(({ name }) => name);
  expect(names).toEqual(['x1', 'x2', 'x', 'y1', 'y2', 'y']);
});

test('pieces are bounded by lines and by chains; a chain is never cut', () => {
  const chains = [3, 1, 1, 9, 0, 0, 0].map((rules, index) =>
    chainOf(`c${index}`, ...Array<typeof drop>(rules).fill(drop)),
  );
  const sizes = (limits: { lines: number; chains: number }): readonly number[] =>
    cutIntoPieces(chains, limits).map((piece) => piece.length);
  expect(sizes({ lines: 6, chains: 10 })).toEqual([2, 1, 1, 3]);
  expect(sizes({ lines: 100, chains: 3 })).toEqual([3, 3, 1]);
  expect(cutIntoPieces([], { lines: 1, chains: 1 })).toEqual([]);
});

test('what is in force changes in one transaction, however small the pieces; what is new is there before it', () => {
  const goTo = (name: string) => ruleOf({ kind: 'goto', chain: chainName(name) });
  const limits = { lines: 5_000, chains: 1 };
  const inForce = (...marks: readonly ReturnType<typeof ruleOf>[]) => [
    chainOf('cali-pi-a', ...marks),
    chainOf('cali-tw-a', ruleOf(jumpTo('cali-pi-a')), ...marks),
    chainOf('cali-to-wl-dispatch', goTo('cali-tw-a'), ...marks),
  ];
  const served = (...rules: readonly ReturnType<typeof ruleOf>[]) => ({
    ...chainOf('KUBE-SVC-A', ...rules),
    style: 'kube' as const,
  });
  const before = dataplaneOf({ chains: { filter: [chainOf('cali-same'), ...inForce(), served()] } });
  const added = [
    chainOf('cali-pi-b'),
    chainOf('cali-tw-b', ruleOf(jumpTo('cali-pi-b'))),
    chainOf('cali-to-wl-address', goTo('cali-tw-b')),
  ];
  const after = dataplaneOf({
    chains: { filter: [chainOf('cali-same'), ...inForce(goTo('cali-to-wl-address')), ...added, served(accept)] },
  });
  expect(kinds(planResync(after, synced(before), limits))).toEqual([
    'ipv4 filter cali-pi-b',
    'ipv4 filter cali-tw-b',
    'ipv4 filter cali-to-wl-address',
    'ipv4 filter KUBE-SVC-A',
    'ipv4 filter cali-pi-a cali-tw-a cali-to-wl-dispatch',
  ]);
});

test('a set that is exchanged for a larger one: what leaves it leaves before the rules change, what enters it enters after', () => {
  const small = setOf('s:a', ['10.0.0.1', '10.0.0.2']);
  const grown = setOf(
    's:a',
    Array.from({ length: 65_537 }, (_, index) => `10.1.${index >> 8}.${index & 255}`),
  );
  const observed = synced(dataplaneOf({ sets: [small], chains: { filter: [chainOf('cali-pi-a')] } }));
  const after = dataplaneOf({ sets: [grown], chains: { filter: [chainOf('cali-pi-a', accept)] } });
  expect(kinds(planResync(after, observed))).toEqual(['sets cali40s:a', 'ipv4 filter cali-pi-a', 'resize cali40s:a']);
});

test("a source check lets through no more than before until the pods' chains are in", () => {
  const from = (address: string) =>
    ruleOf({ kind: 'return' }, { kind: 'address', side: 'source', cidr: cidrOf(ip(address), 32) });
  const state = (fw: ReturnType<typeof ruleOf>, ...sources: readonly string[]) =>
    dataplaneOf({
      chains: { raw: [chainOf('cali-src-a', ...sources.map(from), drop)], filter: [chainOf('cali-fw-a', fw)] },
    });
  const before = state(drop, '10.0.0.1', '10.0.0.2');
  const checks = (after: Dataplane, observed = synced(before)): readonly number[] =>
    planResync(after, observed)
      .flatMap(({ writes }) => writes)
      .flatMap((write) => (write.kind === 'write-chains' ? write.chains : []))
      .map(({ rules }) => rules.length);
  // cali-src-a, cali-fw-a, and again cali-src-a.
  expect(checks(state(accept, '10.0.0.2', '10.0.0.3'))).toEqual([2, 1, 3]);
  expect(checks(state(accept, '10.0.0.2'))).toEqual([2, 1]);
  expect(checks(state(drop, '10.0.0.3'))).toEqual([2]);
  // As read from the kernel, whose rules nobody knows.
  const unknown = synced(before);
  unknown.forget('ipv4', 'raw', ['cali-src-a']);
  expect(checks(state(accept, '10.0.0.2', '10.0.0.3'), unknown)).toEqual([1, 1, 3]);
  const flushed = synced(before);
  for (const chain of ['cali-src-a', 'cali-fw-a'].map((name) => chainOf(name))) {
    flushed.confirm('ipv4', chain.name.startsWith('cali-src-') ? 'raw' : 'filter', chain);
  }
  expect(checks(state(accept, '10.0.0.2'), flushed)).toEqual([2, 1]);
});

test('many stale chains that refer to each other are all emptied before any is deleted', () => {
  const stale = Array.from({ length: 1_500 }, (_, index) =>
    chainOf(`cali-${index}`, ruleOf(jumpTo(`cali-${(index * 7 + 1) % 1_500}`))),
  );
  const observed = new ObservedStore();
  for (const chain of stale) observed.confirm('ipv4', 'filter', chain);
  const steps = planResync(dataplaneOf({}), observed, { lines: 5000, chains: 700 });
  const order = steps.flatMap(({ writes }) => writes.map(({ kind }) => kind));
  expect(order).toEqual([
    'write-chains',
    'write-chains',
    'write-chains',
    'remove-chains',
    'remove-chains',
    'remove-chains',
  ]);
  expect(carryOut(observed, steps).tables.ipv4.filter.chains.size).toBe(0);
});

test('a set of another type: its chains let go, closed, and are written again', () => {
  const set = setOf('s:a', ['10.0.0.1']);
  const policy = chainOf('cali-pi-a', ruleOf({ kind: 'accept' }, inSet(set.name)), drop);
  const stale = chainOf('cali-tw-stale', ruleOf({ kind: 'accept' }, inSet(set.name)));
  const dataplane = dataplaneOf({ sets: [set], chains: { filter: [policy] } });
  const observed = synced(dataplane);
  observed.confirm('ipv4', 'filter', stale);
  observed.apply({ kind: 'destroy-sets', names: [set.name] });
  observed.apply({
    kind: 'write-sets',
    sets: [{ set: { ...set, type: 'hash:ip' }, create: true, add: [], remove: [] }],
  });
  const steps = planResync(dataplane, observed);
  expect(kinds(steps)).toEqual([
    'ipv4 filter cali-pi-a',
    'ipv4 filter cali-tw-stale',
    'destroy cali40s:a',
    'sets cali40s:a',
    'ipv4 filter cali-pi-a',
    'ipv4 filter without cali-tw-stale',
  ]);
  const closed = steps
    .slice(0, 2)
    .flatMap(({ writes }) => writes.flatMap((write) => (write.kind === 'write-chains' ? write.chains : [])));
  expect(closed.map(({ rules }) => rules.map(({ action, matches }) => [action.kind, matches.length]))).toEqual([
    [['drop', 0]],
    [['drop', 0]],
  ]);
  expect(planResync(dataplane, carryOut(observed, steps))).toEqual([]);
});

test.each([
  ['cali-pi-a', []],
  ['cali-pro-ksa.default.default', []],
  ['KUBE-SVC-2IRACUALRELARSND', []],
  ['cali-tw-a', ['drop']],
  ['cali-fw-a', ['drop']],
  ['cali-FORWARD', undefined],
  ['cali-to-wl-dispatch', undefined],
])('%s is closed as %j', (name, actions) => {
  expect(closedChain(chainOf(name, accept))?.rules.map(({ action }) => action.kind)).toEqual(actions);
});

test('a chain without one of its sets is never more open', () => {
  const { name } = setOf('s:a', []);
  const chain = chainOf(
    'cali-x',
    ruleOf({ kind: 'accept' }, inSet(name)),
    ruleOf({ kind: 'drop' }, inSet(name)),
    accept,
  );
  expect(withoutSet(chain, name).rules).toEqual([drop, accept]);
  expect(withoutSet(chain, 'another').rules).toEqual(chain.rules);
});
