/** The order of writes that never opens, at its limits: decisions that survived when they were changed one by one. */
import { describe, expect, test } from 'vitest';
import { closedStaleChain, narrowedCheck } from '../../src/dataplane/closed-chain.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { coveringAllButLast, trimSteps } from '../../src/dataplane/delete-last.ts';
import type { KernelWrite, Step } from '../../src/dataplane/kernel-write.ts';
import { parseSave } from '../../src/dataplane/observed.ts';
import { ObservedStore } from '../../src/dataplane/observed-store.ts';
import { nftPieces } from '../../src/dataplane/pieces.ts';
import { planCleanup, planResync, planSteps } from '../../src/dataplane/plan.ts';
import type { Chain, IpSet, Rule } from '../../src/dataplane/rule.ts';
import { cidrOf } from '../../src/lib/ip.ts';
import { ip } from '../addresses.ts';
import { chainOf, dataplaneOf, hookOf, inSet, jumpTo, ruleOf, setOf } from '../fakes/dataplanes.ts';

const drop = ruleOf({ kind: 'drop' });
const accept = ruleOf({ kind: 'accept' });

function synced(dataplane: Dataplane): ObservedStore {
  const observed = new ObservedStore();
  for (const { writes } of planResync(dataplane, observed)) for (const write of writes) observed.apply(write);
  return observed;
}

function tell(write: KernelWrite): string {
  switch (write.kind) {
    case 'write-sets':
      return write.sets.map(({ set, add, remove }) => `${set.name} +${add.join()} -${remove.join()}`).join(' ');
    case 'resize-set':
      return `resize ${write.set.name}`;
    case 'write-chains':
      return `chains ${write.chains.map(({ name }) => name).join(' ')}`;
    case 'remove-chains':
      return `without ${write.names.join(' ')}`;
    case 'write-hooks':
      return `hooks of ${write.table}`;
    default:
      return write.kind;
  }
}

function told(steps: readonly Step[]): readonly string[] {
  return steps.flatMap(({ writes }) => writes.map(tell));
}

function read(save: string, table: 'raw' | 'filter' = 'filter'): ObservedStore {
  const observed = new ObservedStore();
  observed.replace({ tables: [{ family: 'ipv4', table, content: parseSave(save, { services: true }) }] });
  return observed;
}

describe('a gate', () => {
  const gate = (closing: readonly string[] | undefined, ...members: readonly string[]): IpSet =>
    setOf('gate', members, { gate: true, ...(closing === undefined ? {} : { closing: new Set(closing) }) });
  const order = (before: IpSet, after: IpSet): readonly string[] => {
    const chain = chainOf('cali-tw-new', drop);
    const state = dataplaneOf({ sets: [after], chains: { filter: [chain] } });
    return told(planResync(state, synced(dataplaneOf({ sets: [before] }))));
  };

  test('lets in before the chains those for whom it closes, the others after them', () => {
    expect(order(gate(['10.0.0.9']), gate(['10.0.0.1'], '10.0.0.1', '10.0.0.2'))).toEqual([
      'cali40gate +10.0.0.1 -',
      'chains cali-tw-new',
      'cali40gate +10.0.0.2 -',
    ]);
  });

  test('that closes lets nobody go before what closes instead is in; another one lets go first', () => {
    expect(order(gate(['10.0.0.1'], '10.0.0.1'), gate([]))).toEqual(['chains cali-tw-new', 'cali40gate + -10.0.0.1']);
    expect(order(gate(undefined, '10.0.0.1'), gate(undefined))).toEqual([
      'cali40gate + -10.0.0.1',
      'chains cali-tw-new',
    ]);
  });

  test('that is exchanged for a larger one is so after new chains, another set before them', () => {
    const many = Array.from({ length: 65_537 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    expect(order(gate(undefined), gate(undefined, ...many))).toEqual(['chains cali-tw-new', 'resize cali40gate']);
    expect(order(setOf('s:a', []), setOf('s:a', many))).toEqual(['resize cali40s:a', 'chains cali-tw-new']);
  });
});

test('two chains in force that fill a transaction each change in one all the same', () => {
  const limits = { lines: 5_000, chains: 1 };
  const state = (rule: Rule) =>
    dataplaneOf({ chains: { filter: [chainOf('cali-pi-a', rule), chainOf('cali-pi-b', rule)] } });
  expect(told(planResync(state(drop), synced(state(accept)), limits))).toEqual(['chains cali-pi-a cali-pi-b']);
  expect(told(planResync(state(drop), new ObservedStore(), limits))).toEqual(['chains cali-pi-a', 'chains cali-pi-b']);
});

test('two pieces of stale chains are emptied before either is deleted, one piece is deleted at once', () => {
  const stale = (count: number): ObservedStore =>
    synced(dataplaneOf({ chains: { filter: Array.from({ length: count }, (_, at) => chainOf(`cali-${at}`, drop)) } }));
  const limits = { lines: 5_000, chains: 1 };
  expect(told(planResync(dataplaneOf({}), stale(2), limits))).toEqual([
    'chains cali-0',
    'chains cali-1',
    'without cali-0',
    'without cali-1',
  ]);
  expect(told(planResync(dataplaneOf({}), stale(1), limits))).toEqual(['without cali-0']);
});

test('hooks to the top and to the end of one chain go in before the guard’s, as one of them would', () => {
  const hooks = [
    hookOf('POSTROUTING', 'cali-guard', { table: 'mangle' }),
    hookOf('FORWARD', 'cali-FORWARD'),
    hookOf('FORWARD', 'cali-last', { position: 'last' }),
  ];
  expect(told(planResync(dataplaneOf({ hooks }), new ObservedStore()))).toEqual(['hooks of filter', 'hooks of mangle']);
});

test('cleanup has nothing to write where only kubelet’s jump is left', () => {
  expect(planCleanup(read(':KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL'))).toEqual([]);
});

describe('a source check', () => {
  const from = (address: string): Rule =>
    ruleOf({ kind: 'return' }, { kind: 'address', side: 'source', cidr: cidrOf(ip(address), 32) });
  const wanted = chainOf('cali-src-a', from('10.0.0.1'), from('10.0.0.2'), drop);
  const found = (save: string) => read(save, 'raw').tables.ipv4.raw.chains.get('cali-src-a') ?? { kind: 'unknown' };

  test('that was read with rules lets nobody through, one that somebody emptied let through everybody', () => {
    const rules = narrowedCheck(wanted, found(':cali-src-a - [0:0]\n-A cali-src-a -j DROP'))?.rules;
    expect(rules?.map(({ action }) => action.kind)).toEqual(['drop']);
    expect(narrowedCheck(wanted, found(':cali-src-a - [0:0]'))).toBeUndefined();
  });

  test('keeps its drop, though it had none', () => {
    const before = { kind: 'written', chain: chainOf('cali-src-a', from('10.0.0.1')) } as const;
    expect(narrowedCheck(wanted, before)?.rules).toEqual([from('10.0.0.1'), drop]);
  });

  test('that is new beside a pod’s chain in force is written whole, once', () => {
    const state = (raw: readonly Chain[], rule: Rule) =>
      dataplaneOf({ chains: { raw, filter: [chainOf('cali-fw-a', rule)] } });
    expect(told(planResync(state([wanted], drop), synced(state([], accept))))).toEqual([
      'chains cali-src-a',
      'chains cali-fw-a',
    ]);
  });
});

test.each([
  ['cali-pi-a', 'cali', []],
  ['KUBE-SVC-2IRACUALRELARSND', 'kube', []],
  ['cali-tw-a', 'cali', ['drop']],
  ['cali-to-wl-dispatch', 'cali', ['drop']],
])('stale %s (%s) is closed as %j', (name, style, actions) => {
  const closed = closedStaleChain(name);
  expect([closed.name, closed.style, closed.rules.map(({ action }) => action.kind)]).toEqual([name, style, actions]);
});

test('a pod’s chain of one family that changes narrows no source check of the other', () => {
  const check = (action: 'return' | 'drop') => chainOf('cali-src-a', ruleOf({ kind: action }), drop);
  const observed = synced(
    dataplaneOf({
      chains: { raw: [check('drop')], filter: [chainOf('cali-fw-a', accept)] },
      families: ['ipv4', 'ipv6'],
    }),
  );
  const place = { name: check('return').name, table: 'raw' } as const;
  const pod = chainOf('cali-fw-a', drop);
  const changes = [
    { ...place, family: 'ipv6', chain: check('return') },
    { family: 'ipv4', table: 'filter', name: pod.name, chain: pod },
  ] as const;
  const after = dataplaneOf({ chains: { raw: [check('return')], filter: [pod] }, families: ['ipv4', 'ipv6'] });
  expect(told(planSteps({ ipSets: [], chains: changes, hooks: [] }, after, observed))).toEqual([
    'chains cali-src-a',
    'chains cali-fw-a',
    'trim-chains',
  ]);
});

test('where a policy’s chain goes, nobody new enters its sets before what is written instead', () => {
  const state = (set: IpSet, ...chains: readonly Chain[]) => dataplaneOf({ sets: [set], chains: { filter: chains } });
  const [few, more] = [setOf('s:a', ['10.0.0.1']), setOf('s:a', ['10.0.0.1', '10.0.0.2'])];
  const order = (name: string) =>
    told(planResync(state(more, chainOf('cali-pi-new', drop)), synced(state(few, chainOf(name, drop)))));
  expect(order('cali-pi-old')).toEqual(['chains cali-pi-new', 'cali40s:a +10.0.0.2 -', 'without cali-pi-old']);
  expect(order('KUBE-SVC-OLD')).toEqual(['cali40s:a +10.0.0.2 -', 'chains cali-pi-new', 'without KUBE-SVC-OLD']);
});

describe('deleting last', () => {
  type ChainsWrite = Extract<KernelWrite, { kind: 'write-chains' }>;
  const place = { kind: 'write-chains', family: 'ipv4', table: 'filter' } as const;
  const writeOf = (...names: readonly string[]): ChainsWrite => ({
    ...place,
    chains: names.map((name) => chainOf(name, accept)),
  });
  const inKernel = (names: readonly string[], rules = 1): ObservedStore =>
    synced(dataplaneOf({ chains: { filter: names.map((name) => chainOf(name, ...Array<Rule>(rules).fill(drop))) } }));
  const outcome = (writes: readonly ChainsWrite[], observed: ObservedStore) => {
    const steps = coveringAllButLast(
      writes.map((write) => ({ writes: [write] })),
      observed,
    );
    const trims = trimSteps(steps);
    const covered = steps.flatMap((step) => step.writes.map((write) => 'covered' in write));
    const trimmed = trims.flatMap((step) =>
      step.writes.flatMap((write) => (write.kind === 'trim-chains' ? write.chains : [])),
    );
    return { covered, trimmed: trimmed.map(({ name }): string => name) };
  };

  test.each([
    [1, 0],
    [2, 1],
    [3, 2],
    [16, 15],
    [17, 0],
  ])('of %i writes %i cover what was there', (count, expected) => {
    const names = Array.from({ length: count }, (_, index) => `cali-${index}`);
    const { covered, trimmed } = outcome(
      names.map((name) => writeOf(name)),
      inKernel(names),
    );
    expect(covered).toEqual(names.map((_, index) => index < expected));
    expect(trimmed).toEqual(names.slice(0, expected));
  });

  test.each([
    [100, 1],
    [101, 0],
  ])('%i old rules of one write: %i covers them', (rules, expected) => {
    const { trimmed } = outcome([writeOf('cali-a'), writeOf('cali-b')], inKernel(['cali-a'], rules));
    expect(trimmed).toHaveLength(expected);
  });

  test('a chain that is new, or of which nobody knows what is in it, is written as ever beside one that covers', () => {
    const observed = inKernel(['cali-a', 'cali-unknown']);
    observed.forget('ipv4', 'filter', ['cali-unknown']);
    const writes = [writeOf('cali-new', 'cali-a', 'cali-unknown'), writeOf('cali-b')];
    expect(outcome(writes, observed)).toEqual({ covered: [true, false], trimmed: ['cali-a'] });
  });

  test('a chain that is written twice is replaced each time', () => {
    const writes = [writeOf('cali-a'), writeOf('cali-b'), writeOf('cali-a'), writeOf('cali-c')];
    expect(outcome(writes, inKernel(['cali-a', 'cali-b']))).toEqual({
      covered: [false, true, false, false],
      trimmed: ['cali-b'],
    });
  });

  test('is not done where chains are closed for a set of another type: what is in them is not what was observed', () => {
    const set = setOf('s:a', []);
    const families = ['ipv4', 'ipv6'] as const;
    const state = (rule: Rule, of: IpSet) =>
      dataplaneOf({
        sets: [of],
        chains: { filter: [chainOf('cali-pi-a', ruleOf(jumpTo('cali-x'), inSet(set.name)), rule), chainOf('cali-x')] },
        families,
      });
    const after = state(drop, { ...set, type: 'hash:ip' });
    const chains = families.flatMap((family) =>
      [...after.tables[family].chains.filter.values()].map(
        (chain) => ({ family, table: 'filter', name: chain.name, chain }) as const,
      ),
    );
    const ipSets = [...after.ipSets.values()].map((of) => ({ kind: 'create', set: of }) as const);
    const steps = planSteps({ ipSets, chains, hooks: [] }, after, synced(state(accept, set)), nftPieces);
    expect(told(steps)).not.toContain('trim-chains');
    const alike = { ipSets: [], chains, hooks: [] };
    expect(told(planSteps(alike, after, synced(state(accept, set)), nftPieces))).toContain('trim-chains');
  });
});
