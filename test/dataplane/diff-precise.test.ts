/** What counts as a difference, and what a write leaves known: decisions that survived when they were changed one by one. */
import { describe, expect, test } from 'vitest';
import { describeDiff } from '../../src/dataplane/describe-diff.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { DataplaneStore } from '../../src/dataplane/dataplane.ts';
import { DeltaBuilder } from '../../src/dataplane/delta-builder.ts';
import { diffDataplane, diffDelta, sizeOfDiff } from '../../src/dataplane/diff.ts';
import { diffHooks } from '../../src/dataplane/hook-diff.ts';
import { chainName, setName } from '../../src/dataplane/names.ts';
import { parseIpSetSave, parseSave } from '../../src/dataplane/observed.ts';
import { ObservedStore } from '../../src/dataplane/observed-store.ts';
import { planResync } from '../../src/dataplane/plan.ts';
import { renderHooks } from '../../src/dataplane/restore-input.ts';
import type { Hook } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, inSet, markIs, ruleOf, setOf } from '../fakes/dataplanes.ts';

const drop = ruleOf({ kind: 'drop' });
const accept = ruleOf({ kind: 'accept' });
const none = { ipSets: [], chains: [], hooks: [] } as const;

function synced(dataplane: Dataplane): ObservedStore {
  const observed = new ObservedStore();
  for (const { writes } of planResync(dataplane, observed)) for (const write of writes) observed.apply(write);
  return observed;
}

function withSets(save: string): ObservedStore {
  const observed = new ObservedStore();
  observed.replace({ tables: [], ipSets: parseIpSetSave(save) });
  return observed;
}

describe('sets', () => {
  const set = setOf('s:a', ['10.0.0.1', '10.0.0.2']);

  test.each([
    [3, 'write'],
    [2, 'write'],
    [1, 'resize'],
  ] as const)('two members where %i have room: %s', (room, expected) => {
    const { sets } = diffDataplane(
      dataplaneOf({ sets: [set] }),
      withSets(`create ${set.name} hash:net family inet maxelem ${room}\n`),
    );
    expect([sets.resize.length, sets.write.length]).toEqual(expected === 'resize' ? [1, 0] : [0, 1]);
  });

  test('one of the other family under its name is of another type', () => {
    const found = withSets(`create ${set.name} hash:net family inet6 maxelem 65536\n`);
    expect(diffDataplane(dataplaneOf({ sets: [set] }), found).sets.retype).toEqual([{ set, referrers: [] }]);
  });

  test('to remove one that is not there is no difference', () => {
    const ipSets = [{ kind: 'remove', name: set.name, family: 'ipv4' }] as const;
    expect(sizeOfDiff(diffDelta({ ...none, ipSets }, new ObservedStore()))).toBe(0);
    expect(sizeOfDiff(diffDelta({ ...none, ipSets }, synced(dataplaneOf({ sets: [set] }))))).toBe(1);
  });

  test('a /0 that goes together with others takes both its halves along', () => {
    const before = setOf('s:a', ['0.0.0.0/0', '10.0.0.1', '10.0.0.2']);
    const after = setOf('s:a', ['10.0.0.2']);
    const change = { kind: 'members', set: after, added: [], removed: ['10.0.0.1', '0.0.0.0/0'] } as const;
    const [write] = diffDelta({ ...none, ipSets: [change] }, synced(dataplaneOf({ sets: [before] }))).sets.write;
    expect(write?.remove.toSorted()).toEqual(['0.0.0.0/1', '10.0.0.1', '128.0.0.0/1']);
  });

  test('of another type: what holds on to it are the chains with a rule about it, and those that nobody knows', () => {
    const other = setOf('s:b', []);
    const chains = [
      chainOf('cali-pi-both', ruleOf({ kind: 'accept' }, markIs(1), inSet(set.name)), drop),
      chainOf('cali-pi-other', ruleOf({ kind: 'accept' }, markIs(1), inSet(other.name))),
      chainOf('cali-pi-none', drop),
      chainOf('cali-pi-unknown', drop),
    ];
    const observed = synced(dataplaneOf({ sets: [set, other], chains: { filter: chains } }));
    observed.forget('ipv4', 'filter', ['cali-pi-unknown']);
    const read = `:cali-pi-r - [0:0]\n:cali-pi-q - [0:0]\n-A cali-pi-r -m set --match-set ${set.name} src -j ACCEPT\n-A cali-pi-q -m set --match-set ${other.name} src -j ACCEPT\n`;
    observed.replace({
      tables: [{ family: 'ipv6', table: 'filter', content: parseSave(read, { services: false }) }],
    });
    const [retype] = diffDataplane(dataplaneOf({ sets: [{ ...set, type: 'hash:ip' }] }), observed).sets.retype;
    expect(retype?.referrers.map(({ family, name }) => `${family} ${name}`)).toEqual([
      'ipv4 cali-pi-both',
      'ipv4 cali-pi-unknown',
      'ipv6 cali-pi-r',
    ]);
  });
});

test('every kind of difference counts', () => {
  const observed = withSets(
    ['a', 'b', 'c'].map((id) => `create cali40s:${id} hash:net family inet maxelem 1\n`).join(''),
  );
  const desired = dataplaneOf({
    sets: [setOf('s:a', ['10.0.0.1', '10.0.0.2']), setOf('s:b', [], { type: 'hash:ip' }), setOf('s:new', [])],
    chains: { filter: [chainOf('cali-pi-a')] },
    hooks: [hookOf('FORWARD', 'cali-FORWARD')],
  });
  const { sets, tables } = diffDataplane(desired, observed);
  expect([sets.write, sets.resize, sets.retype, sets.destroy].map(({ length }) => length)).toEqual([1, 1, 1, 1]);
  expect(sizeOfDiff({ sets, tables })).toBe(6);
});

describe('hooks', () => {
  const jump = hookOf('FORWARD', 'cali-FORWARD');
  const input = hookOf('INPUT', 'cali-INPUT');
  const textOf = (hook: Hook): string => (renderHooks([hook])[0] ?? '').slice(`-A ${hook.chain} `.length);
  const tableWith = (...lines: readonly string[]) => parseSave(lines.join('\n'), { services: true }).hooks;

  test('of each chain of the kernel are its own', () => {
    const found = tableWith(`-A INPUT ${textOf(input)}`);
    expect(diffHooks([jump, input], found)).toEqual([
      { chain: 'FORWARD', deletes: [], inserts: [textOf(jump)], appends: [] },
    ]);
  });

  test('of a change are those of its family', () => {
    const both = dataplaneOf({ hooks: [jump], families: ['ipv4', 'ipv6'] });
    const hooks = [
      { family: 'ipv6', hooks: [input] },
      { family: 'ipv4', hooks: [jump] },
    ] as const;
    const { tables } = diffDelta({ ...none, hooks }, synced(both));
    const changed = tables.flatMap(({ family, hooks: writes }) => writes.map(({ chain }) => `${family} ${chain}`));
    expect(changed.toSorted()).toEqual(['ipv6 FORWARD', 'ipv6 INPUT']);
  });

  test('an old one in the place of the last is not the last', () => {
    const last = { ...hookOf('FORWARD', 'cali-FORWARD', { position: 'last' }), rule: ruleOf({ kind: 'accept' }) };
    const old = '-m comment --comment "cali:0123456789abcdef" -j ACCEPT';
    expect(diffHooks([jump, last], tableWith(`-A FORWARD ${textOf(jump)}`, `-A FORWARD ${old}`))).toEqual([
      { chain: 'FORWARD', deletes: [old], inserts: [], appends: [textOf(last)] },
    ]);
  });

  test('the jump to a chain that kubelet makes too is ours where we want it', () => {
    const firewall = hookOf('OUTPUT', 'KUBE-FIREWALL', { style: 'kube' });
    expect(diffHooks([firewall], tableWith('-A OUTPUT -j KUBE-FIREWALL'))).toEqual([]);
    expect(diffHooks([firewall], tableWith('-A OUTPUT -j DOCKER', '-A OUTPUT -j KUBE-FIREWALL'))).toHaveLength(1);
  });

  test('of Calico have the hash that they have without the jumps of kube-proxy between them', () => {
    const kube = hookOf('FORWARD', 'KUBE-FORWARD', { style: 'kube' });
    const second = hookOf('FORWARD', 'cali-second');
    const [, one, , other] = renderHooks([kube, jump, kube, second]);
    expect([one, other]).toEqual(renderHooks([jump, second]));
  });
});

describe('after a write', () => {
  test('a set that was exchanged has its new members and room', () => {
    const observed = synced(dataplaneOf({ sets: [setOf('s:a', ['10.0.0.1'])] }));
    const grown = setOf(
      's:a',
      Array.from({ length: 65_536 }, (_, index) => `10.1.${index >> 8}.${index & 255}`),
    );
    observed.apply({ kind: 'resize-set', set: grown });
    expect(observed.ipSets.get(grown.name)?.members.size).toBe(65_536);
    expect(diffDataplane(dataplaneOf({ sets: [grown] }), observed).sets).toMatchObject({ write: [], resize: [] });
  });

  test('sets that are destroyed are gone, but for those that the kernel held on to', () => {
    const [one, other] = [setOf('s:a', ['10.0.0.1']), setOf('s:b', [])];
    const observed = synced(dataplaneOf({ sets: [one, other] }));
    observed.apply({ kind: 'destroy-sets', names: [one.name, other.name] }, [other.name]);
    expect([...observed.ipSets.keys()]).toEqual([other.name]);
  });

  test('a set has what came and not what went; one that nobody has seen stays unknown', () => {
    const set = setOf('s:a', ['10.0.0.1', '10.0.0.2']);
    const observed = synced(dataplaneOf({ sets: [set] }));
    const unseen = setOf('s:b', []);
    observed.apply({
      kind: 'write-sets',
      sets: [
        { set, create: false, add: ['10.0.0.3'], remove: ['10.0.0.1'] },
        { set: unseen, create: false, add: ['10.0.0.3'], remove: ['10.0.0.1'] },
      ],
    });
    expect([...observed.ipSets].map(([name, { members }]) => [name, [...members]])).toEqual([
      [set.name, ['10.0.0.2', '10.0.0.3']],
    ]);
  });

  test('hooks that stay are lower by those that came above them', () => {
    const observed = new ObservedStore();
    const save = '-A FORWARD -j cali-one\n-A FORWARD -j DOCKER\n-A FORWARD -j cali-two\n';
    observed.replace({
      tables: [{ family: 'ipv4', table: 'filter', content: parseSave(save, { services: false }) }],
    });
    const write = {
      chain: 'FORWARD',
      deletes: ['-j cali-one'],
      inserts: ['-j cali-a', '-j cali-b'],
      appends: [],
    } as const;
    observed.apply({ kind: 'write-hooks', family: 'ipv4', table: 'filter', hooks: [write] });
    const hooks = observed.tables.ipv4.filter.hooks.get('FORWARD');
    expect(hooks?.map(({ target, position }) => [target, position])).toEqual([
      ['cali-a', 1],
      ['cali-b', 2],
      ['cali-two', 5],
    ]);
  });
});

describe('what is read', () => {
  const table = (...lines: readonly string[]) => parseSave(lines.join('\n'), { services: true });

  test('a rule without a word is a rule that is not ours', () => {
    expect(table(':cali-pi-x - [0:0]', '-A cali-pi-x').chains.get('cali-pi-x')).toEqual({
      kind: 'read',
      ids: [''],
      sets: [],
    });
  });

  test('a hook with our hash and no target is ours, and leads nowhere', () => {
    const { hooks } = table('-A FORWARD -m comment --comment cali:0123456789abcdef');
    expect(hooks.get('FORWARD')).toMatchObject([{ id: '0123456789abcdef ', target: '' }]);
  });

  test('two jumps of kube-proxy to one chain are told apart by their conditions', () => {
    const { hooks } = table('-A INPUT -j KUBE-SERVICES', '-A INPUT -m conntrack --ctstate NEW -j KUBE-SERVICES');
    expect(new Set(hooks.get('INPUT')?.map(({ id }) => id)).size).toBe(2);
  });
});

describe('a change', () => {
  test('of the members that close is one, though the members are the same', () => {
    const name = setName('gate', 'ipv4');
    const set = (...closing: readonly string[]) =>
      setOf('gate', ['10.0.0.1', '10.0.0.2'], { name, gate: true, closing: new Set(closing) });
    const store = new DataplaneStore();
    store.apply({ ...none, ipSets: [{ kind: 'create', set: set('10.0.0.1') }] });
    const isChange = (next: ReturnType<typeof set>): boolean => {
      const builder = new DeltaBuilder(store);
      builder.putSet(next);
      return builder.finish().ipSets.length > 0;
    };
    expect([isChange(set('10.0.0.1')), isChange(set()), isChange(set('10.0.0.2'))]).toEqual([false, true, true]);
    expect(isChange(set('10.0.0.1', '10.0.0.2'))).toBe(true);
  });

  test('names its chains in one order, in whatever order they came', () => {
    const places = (['ipv4', 'ipv6'] as const).flatMap((family) =>
      (['raw', 'filter'] as const).flatMap((own) => ['cali-a', 'cali-b'].map((name) => [family, own, name] as const)),
    );
    const orderOf = (order: typeof places): readonly string[] => {
      const builder = new DeltaBuilder(new DataplaneStore());
      for (const [family, own, name] of order) builder.putChain(family, own, chainOf(name));
      return builder.finish().chains.map(({ family, table: own, name }) => `${family} ${own} ${name}`);
    };
    const expected = places.map((place) => place.join(' '));
    const mixed = places
      .map((_, index) => places[(index * 3) % places.length] ?? places[0])
      .flatMap((place) => (place === undefined ? [] : [place]));
    for (const order of [places, places.toReversed(), mixed]) expect(orderOf(order)).toEqual(expected);
  });

  test('that removes a set or a chain leaves nothing of it', () => {
    const store = new DataplaneStore();
    const [set, chain] = [setOf('s:a', []), chainOf('cali-a')];
    const place = { family: 'ipv4', table: 'filter', name: chainName('cali-a') } as const;
    store.apply({ ...none, ipSets: [{ kind: 'create', set }], chains: [{ ...place, chain }] });
    store.apply({ ...none, ipSets: [{ kind: 'remove', name: set.name, family: 'ipv4' }], chains: [place] });
    expect([store.ipSets.size, store.tables.ipv4.chains.filter.size]).toEqual([0, 0]);
  });
});

test('the log tells of sets without room and of another type, of rules that are not ours, and of long lists their length', () => {
  const observed = withSets(
    'create cali40s:a hash:net family inet maxelem 1\ncreate cali40s:b hash:net family inet maxelem 9\ncreate cali40s:c hash:net family inet maxelem 9\n',
  );
  const save = [':cali-pi-a - [0:0]', '-A cali-pi-a -j ACCEPT', '-A FORWARD -j cali-old'].join('\n');
  observed.replace({ tables: [{ family: 'ipv4', table: 'filter', content: parseSave(save, { services: false }) }] });
  const desired = dataplaneOf({
    sets: [setOf('s:a', ['10.0.0.1', '10.0.0.2']), setOf('s:b', [], { type: 'hash:ip' })],
    chains: { filter: [chainOf('cali-pi-a', ...Array<typeof accept>(11).fill(accept))] },
  });
  const told = describeDiff(diffDataplane(desired, observed), observed);
  expect(told.map(({ place, before, after }) => `${place}: ${before} -> ${after}`)).toEqual([
    'ipset cali40s:a: room for 1 -> 2 members',
    'ipset cali40s:b: type hash:net -> type hash:ip',
    expect.stringMatching(/^ipv4 filter chain cali-pi-a: \(not ours\) -> (\S{16}, ){10}\.\.\. \(11\)$/),
    'ipv4 filter hooks in FORWARD: 1: -j cali-old -> without -j cali-old',
    'ipset cali40s:c: present -> absent',
  ]);
});
