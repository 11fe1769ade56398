/** What becomes of a write that the kernel refuses, part by part, and of what is remembered about it. */
import { describe, expect, test } from 'vitest';
import { RefusedError } from '../../src/backends/backend.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { applyIsolated } from '../../src/backends/isolate.ts';
import { refusalOf } from '../../src/backends/iptables/restore-error.ts';
import { describeRefusal, type Refusal, Refusals } from '../../src/backends/refusals.ts';
import type { KernelWrite } from '../../src/dataplane/kernel-write.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';

const filter = { family: 'ipv4', table: 'filter' } as const;
const open = ruleOf({ kind: 'accept' });
const policy = chainOf('cali-pi-a', open);
const friends = setOf('s:friends', ['10.0.0.1', '10.0.0.2']);

/** A kernel that refuses by `judge`, with what it was given and what it was told is refused. */
function kernelThat(judge: (write: KernelWrite) => Error | undefined, present: readonly string[] = []) {
  const given: KernelWrite[] = [];
  const refused: [Refusal, Chain | undefined][] = [];
  return {
    given,
    refused,
    apply: (write: KernelWrite) => {
      const error = judge(write);
      if (error !== undefined) return Promise.reject(error);
      given.push(write);
      return Promise.resolve();
    },
    has: (_: unknown, name: string) => present.includes(name),
    refuse: (refusal: Refusal, standIn?: Chain) => void refused.push([refusal, standIn]),
  };
}

const no = (culprit?: string, member?: string) =>
  new RefusedError({
    message: 'no',
    ...(culprit === undefined ? {} : { culprit }),
    ...(member === undefined ? {} : { member }),
  });

describe('a write that is refused', () => {
  const chains = (...list: readonly Chain[]): KernelWrite => ({ kind: 'write-chains', ...filter, chains: list });
  const holds = (write: KernelWrite, name: string): boolean =>
    write.kind === 'write-chains' && write.chains.some((chain) => chain.name === name && chain.rules.includes(open));

  test('by the machine, not the kernel, is an error', async () => {
    const error = new CommandError({ argv: ['iptables-restore'], exitCode: 1, stderr: 'out of order' });
    await expect(
      applyIsolated(
        chains(policy),
        kernelThat(() => error),
      ),
    ).rejects.toBe(error);
  });

  test.each([
    ['cali-pi-a', [], 'closed', []],
    ['cali-tw-a', [], 'closed', [{ kind: 'drop' }]],
    ['cali-FORWARD', ['cali-FORWARD'], 'kept', undefined],
    ['cali-FORWARD', [], 'absent', undefined],
  ] as const)('chain %s, where %j are there already, is %s', async (name, present, instead, actions) => {
    const chain = chainOf(name, open);
    const kernel = kernelThat((write) => (holds(write, name) ? no() : undefined), present);
    await applyIsolated(chains(chain), kernel);
    const [[refusal, standIn] = []] = kernel.refused;
    expect(refusal).toEqual({ kind: 'chain', ...filter, chain, message: 'no', instead });
    expect(standIn?.rules.map(({ action }) => action)).toEqual(actions);
  });

  test('a chain whose stand-in is refused, too, keeps its last good text', async () => {
    const kernel = kernelThat(() => no(), ['cali-pi-a']);
    await applyIsolated(chains(policy), kernel);
    expect(kernel.refused).toMatchObject([[{ kind: 'chain', instead: 'kept' }, undefined]]);
  });

  test('chains before and after the bad one go in, in their order', async () => {
    const list = ['cali-pi-a', 'cali-pi-b', 'cali-pi-c', 'cali-pi-d', 'cali-pi-e'].map((name) => chainOf(name, open));
    for (const culprit of [undefined, 'cali-pi-c']) {
      const kernel = kernelThat((write) => (holds(write, 'cali-pi-c') ? no(culprit) : undefined));
      await applyIsolated(chains(...list), kernel);
      const written = kernel.given.flatMap((write) => (write.kind === 'write-chains' ? write.chains : []));
      expect(written.map(({ name, rules }) => `${name} ${rules.length}`)).toEqual([
        'cali-pi-a 1',
        'cali-pi-b 1',
        'cali-pi-c 0',
        'cali-pi-d 1',
        'cali-pi-e 1',
      ]);
    }
  });

  test('of several hooks only the bad one is refused', async () => {
    const hooks = (['INPUT', 'FORWARD', 'OUTPUT'] as const).map((chain) => ({
      chain,
      deletes: [],
      inserts: [`-j cali-${chain}`],
      appends: [],
    }));
    const isBad = (write: KernelWrite): boolean =>
      write.kind === 'write-hooks' && write.hooks.some(({ chain }) => chain === 'FORWARD');
    const kernel = kernelThat((write) => (isBad(write) ? no() : undefined));
    await applyIsolated({ kind: 'write-hooks', ...filter, hooks }, kernel);
    expect(kernel.refused).toEqual([[{ kind: 'hook', ...filter, chain: 'FORWARD', message: 'no' }, undefined]]);
    expect(kernel.given.flatMap((write) => (write.kind === 'write-hooks' ? write.hooks : []))).toEqual([
      hooks[0],
      hooks[2],
    ]);
  });

  test('chains that go are emptied first; the one that is held stays, the others go', async () => {
    const names = ['cali-a', 'cali-b', 'cali-c', 'cali-d', 'cali-e'];
    const kernel = kernelThat((write) =>
      write.kind === 'remove-chains' && write.names.includes('cali-c') ? no() : undefined,
    );
    await applyIsolated({ kind: 'remove-chains', ...filter, names }, kernel);
    const [emptied, ...removals] = kernel.given;
    expect(emptied?.kind === 'write-chains' && emptied.chains.map(({ name, rules }) => [name, rules])).toEqual(
      names.map((name) => [name, []]),
    );
    expect(removals.flatMap((write) => (write.kind === 'remove-chains' ? write.names : []))).toEqual([
      'cali-a',
      'cali-b',
      'cali-d',
      'cali-e',
    ]);
    expect(kernel.refused).toEqual([]);
  });

  test('a set that cannot be made larger is refused, one that cannot be destroyed is an error', async () => {
    const kernel = kernelThat(() => no());
    await applyIsolated({ kind: 'resize-set', set: friends }, kernel);
    expect(kernel.refused).toEqual([[{ kind: 'set', set: friends, message: 'no' }, undefined]]);
    await expect(applyIsolated({ kind: 'destroy-sets', names: ['x'] }, kernel)).rejects.toBeInstanceOf(RefusedError);
  });

  describe('of sets', () => {
    const other = setOf('s:other', ['10.0.0.3']);
    const sets = (count: number): KernelWrite => ({
      kind: 'write-sets',
      sets: [
        { set: friends, create: false, add: Array.from({ length: count }, (_, index) => `m${index}`), remove: ['old'] },
        { set: other, create: true, add: ['10.0.0.3'], remove: [] },
      ],
    });
    /** Refuses members whose name is among these, one at a time, as ipset does. */
    const refusing = (bad: ReadonlySet<string>) =>
      kernelThat((write) => {
        if (write.kind !== 'write-sets') return undefined;
        for (const { set, add, remove } of write.sets) {
          const member = [...remove, ...add].find((one) => bad.has(one));
          if (member !== undefined) return no(set.name, member);
        }
        return undefined;
      });

    test('bad members are left out, added or removed, and nothing else', async () => {
      const kernel = refusing(new Set(['m1', 'old']));
      await applyIsolated(sets(3), kernel);
      expect(kernel.refused.map(([refusal]) => refusal.kind === 'member' && refusal.member)).toEqual(['old', 'm1']);
      expect(kernel.given).toMatchObject([
        {
          sets: [
            { set: friends, add: ['m0', 'm2'], remove: [] },
            { set: other, add: ['10.0.0.3'] },
          ],
        },
      ]);
    });

    test.each([
      [64, 64],
      [65, 65],
    ])('%i bad members', async (count) => {
      const kernel = refusing(new Set(Array.from({ length: count }, (_, index) => `m${index}`)));
      await applyIsolated(sets(count), kernel);
      const kinds = kernel.refused.map(([{ kind }]) => kind);
      expect(kinds.filter((kind) => kind === 'member')).toHaveLength(64);
      expect(kinds.filter((kind) => kind === 'set')).toHaveLength(count - 64);
      const [write] = kernel.given;
      const written = write?.kind === 'write-sets' ? write.sets.map(({ set }) => set.name) : [];
      expect(written).toEqual(count > 64 ? [other.name] : [friends.name, other.name]);
    });

    test('a set that is refused as a whole leaves the others', async () => {
      const kernel = kernelThat((write) =>
        write.kind === 'write-sets' && write.sets.some(({ set }) => set === friends) ? no(friends.name) : undefined,
      );
      await applyIsolated(sets(1), kernel);
      expect(kernel.refused).toEqual([[{ kind: 'set', set: friends, message: 'no' }, undefined]]);
      expect(kernel.given).toMatchObject([{ sets: [{ set: other }] }]);
    });

    test('where nobody is named it is an error, not a guess', async () => {
      const kernel = kernelThat(() => no('cali40s:unknown'));
      await expect(applyIsolated(sets(1), kernel)).rejects.toBeInstanceOf(RefusedError);
      expect(kernel.refused).toEqual([]);
    });
  });
});

describe('what is remembered of a refusal', () => {
  const closed = chainOf('cali-pi-a');
  const ofChain = (instead: 'closed' | 'kept' = 'closed'): Refusal => ({
    kind: 'chain',
    ...filter,
    chain: policy,
    message: 'no',
    instead,
  });
  const ofMember: Refusal = { kind: 'member', set: friends, member: '10.0.0.2', message: 'bad' };
  const wanted = dataplaneOf({
    sets: [friends],
    chains: { filter: [policy], mangle: [policy] },
    families: ['ipv4', 'ipv6'],
  });

  test('the chain’s stand-in takes its place in its own table and family alone', () => {
    const refusals = new Refusals();
    refusals.add(ofChain(), closed);
    const { tables } = refusals.applyToAll(wanted);
    expect(tables.ipv4.chains.filter.get(policy.name)).toBe(closed);
    expect(tables.ipv4.chains.mangle.get(policy.name)).toBe(policy);
    expect(tables.ipv6.chains.filter.get(policy.name)).toBe(policy);
    const change = (table: 'filter' | 'mangle') =>
      ({ family: 'ipv4', table, name: policy.name, chain: policy }) as const;
    const delta = refusals.applyToDelta({ ipSets: [], chains: [change('filter'), change('mangle')], hooks: [] });
    expect(delta.chains.map(({ chain }) => chain)).toEqual([closed, policy]);
  });

  test('a chain without a stand-in is given again by the next compare', () => {
    const refusals = new Refusals();
    refusals.add(ofChain('kept'));
    expect(refusals.applyToAll(wanted).tables.ipv4.chains.filter.get(policy.name)).toBe(policy);
    refusals.beginCompare(wanted);
    expect(refusals.all).toEqual([]);
  });

  test('equal text stays refused, other text or none is forgotten', () => {
    const known = (now: Chain | undefined) => {
      const refusals = new Refusals();
      refusals.add(ofChain(), closed);
      refusals.beginCompare(dataplaneOf({ chains: { filter: now === undefined ? [] : [now] } }));
      return refusals.all.length;
    };
    expect(known(chainOf('cali-pi-a', open))).toBe(1);
    expect(known(chainOf('cali-pi-a', open, open))).toBe(0);
    expect(known(undefined)).toBe(0);
  });

  test('a change to other text is given to the kernel, and the refusal is gone; a removal passes', () => {
    const refusals = new Refusals();
    refusals.add(ofChain(), closed);
    const changed = chainOf('cali-pi-a', open, open);
    const removal = { ...filter, name: policy.name };
    expect(refusals.applyToDelta({ ipSets: [], chains: [removal], hooks: [] }).chains).toEqual([removal]);
    expect(refusals.all).toHaveLength(1);
    const { chains } = refusals.applyToDelta({ ipSets: [], chains: [{ ...removal, chain: changed }], hooks: [] });
    expect(chains.map(({ chain }) => chain)).toEqual([changed]);
    expect(refusals.all).toEqual([]);
  });

  test('a bad member is missing in its own set alone, until the set goes', () => {
    const refusals = new Refusals();
    refusals.add(ofMember);
    const six = setOf('s:friends', ['10.0.0.2'], { family: 'ipv6' });
    const both = dataplaneOf({ sets: [friends, six] });
    const { ipSets } = refusals.applyToAll(both);
    expect([...(ipSets.get(friends.name)?.members ?? [])]).toEqual(['10.0.0.1']);
    expect(ipSets.get(six.name)).toBe(six);
    const removal = { kind: 'remove', name: friends.name, family: 'ipv4' } as const;
    const create = { kind: 'create', set: friends } as const;
    const delta = refusals.applyToDelta({
      ipSets: [removal, create, { kind: 'create', set: six }],
      chains: [],
      hooks: [],
    });
    expect(delta.ipSets).toMatchObject([removal, { set: { members: new Set(['10.0.0.1']) } }, { set: six }]);
    refusals.beginCompare(both);
    expect(refusals.all).toEqual([ofMember]);
    refusals.beginCompare(dataplaneOf({ sets: [six] }));
    expect(refusals.all).toEqual([]);
  });

  test('sets and hooks are tried again by every compare; what a look may expect is without those sets', () => {
    const refusals = new Refusals();
    const hook: Refusal = { kind: 'hook', ...filter, chain: 'FORWARD', message: 'no' };
    refusals.add(hook);
    expect(refusals.withoutRefused(wanted)).toBe(wanted);
    refusals.add({ kind: 'set', set: friends, message: 'no' });
    expect(refusals.applyToAll(wanted)).toBe(wanted);
    expect([...refusals.withoutRefused(wanted).ipSets.keys()]).toEqual([]);
    expect(refusals.withoutRefused(wanted).tables).toBe(wanted.tables);
    refusals.beginCompare(wanted);
    expect(refusals.all).toEqual([]);
  });

  test('all is forgotten at once', () => {
    const refusals = new Refusals();
    for (const one of [ofMember, { kind: 'set', set: friends, message: 'no' } as const]) refusals.add(one);
    refusals.add(ofChain(), closed);
    expect(refusals.all.map(({ kind }) => kind)).toEqual(['chain', 'member', 'set']);
    refusals.clear();
    expect(refusals.all).toEqual([]);
    expect(refusals.applyToAll(wanted)).toBe(wanted);
  });

  test.each([
    [ofChain(), 'ipv4 filter cali-pi-a: no'],
    [{ kind: 'hook', ...filter, chain: 'INPUT', message: 'no' } as const, 'ipv4 filter INPUT: no'],
    [{ kind: 'set', set: friends, message: 'no' } as const, 'ipset cali40s:friends: no'],
    [ofMember, 'ipset cali40s:friends member 10.0.0.2: bad'],
  ])('it is told as text', (refusal, text) => {
    expect(describeRefusal(refusal)).toBe(text);
  });
});

describe('what iptables-restore says', () => {
  const lines = [undefined, 'cali-a', 'cali-b', undefined];
  const read = (stderr: string, exitCode: number | undefined = 2) =>
    refusalOf(
      new CommandError({ argv: ['iptables-restore'], stderr, ...(exitCode === undefined ? {} : { exitCode }) }),
      lines,
    );

  test.each([
    ['line 2 failed', 'cali-a', 'line 2 failed'],
    ['iptables-restore: line 3 failed\n', 'cali-b', 'line 3 failed'],
    [
      'iptables-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (Invalid argument): rule in chain cali-b\n',
      'cali-b',
      'line 3: RULE_APPEND failed (Invalid argument): rule in chain cali-b',
    ],
    [
      "iptables-restore v1.8.9 (legacy): Couldn't load match `x'\n\nError occurred at line: 2\nTry `iptables-restore -h' or 'iptables-restore --help' for more information.\n",
      'cali-a',
      "Couldn't load match `x'",
    ],
    ['ip6tables-nft-restore: line 4 failed', undefined, 'line 4 failed'],
    ['Error occurred at line: 2\n', 'cali-a', 'Error occurred at line: 2'],
  ])('%j is a refusal', (stderr, culprit, message) => {
    expect(read(stderr)).toMatchObject({ culprit, message });
  });

  test.each([
    ['no line is named', 'iptables-restore: unable to initialize table', 1],
    ['the machine is short', 'line 2: failed (Resource temporarily unavailable)', 4],
    ['another has the lock', 'line 2: Another app is currently holding the xtables lock', 4],
    ['we may not', 'line 2 failed: Permission denied', 4],
    ['it was killed', 'line 2 failed', undefined],
  ])('%s: not our text’s fault', (_, stderr, exitCode) => {
    const failure = { argv: ['iptables-restore'] as const, stderr };
    const error = new CommandError(exitCode === undefined ? failure : { ...failure, exitCode });
    expect(refusalOf(error, lines)).toBeUndefined();
  });
});

test('a rule about a refused set is no reason to keep others out', () => {
  const user = chainOf('cali-pi-b', ruleOf({ kind: 'accept' }, inSet(friends.name)));
  const refusals = new Refusals();
  refusals.add({ kind: 'set', set: friends, message: 'no' });
  const dataplane = dataplaneOf({ sets: [friends], chains: { filter: [user] } });
  expect(refusals.applyToAll(dataplane).tables.ipv4.chains.filter.get(user.name)).toBe(user);
});
