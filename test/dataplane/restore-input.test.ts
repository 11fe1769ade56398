import { expect, test } from 'vitest';
import {
  ipSetLines,
  kernelMemberCount,
  kernelMembers,
  renderHooks,
  tableInput,
  temporarySetLines,
} from '../../src/dataplane/restore-input.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { chainOf, hookOf, inSet, jumpTo, markIs, ruleOf, setOf } from '../fakes/dataplanes.ts';

const place = { family: 'ipv4', table: 'filter' } as const;

test('chains: all declared first, then their rules; every line knows its chain', () => {
  const set = setOf('s:LrVD8vMIGQDyv8Y7sPFB1Ge', []);
  const accept = ruleOf({ kind: 'set-mark', value: 0x10000, mask: 0x10000 }, inSet(set.name));
  const policy = chainOf('cali-pi-_tTE-E7yY40ogArNVgKt', accept, ruleOf({ kind: 'return' }, markIs(0x10000)));
  const user: Chain = { ...chainOf('KUBE-FORWARD', ruleOf(jumpTo(policy.name))), style: 'kube' };
  const { text, chainOfLine } = tableInput({ kind: 'write-chains', ...place, chains: [policy, user] });
  // The hashes are the seed's.
  expect(text).toBe(`*filter
:cali-pi-_tTE-E7yY40ogArNVgKt - -
:KUBE-FORWARD - -
-A cali-pi-_tTE-E7yY40ogArNVgKt -m comment --comment "cali:M4Und37HGrw6jUk8" -m set --match-set cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge src --jump MARK --set-mark 0x10000/0x10000
-A cali-pi-_tTE-E7yY40ogArNVgKt -m comment --comment "cali:sEnlfZagUFRSPRoe" -m mark --mark 0x10000/0x10000 --jump RETURN
-A KUBE-FORWARD -j cali-pi-_tTE-E7yY40ogArNVgKt
COMMIT
`);
  expect(chainOfLine).toEqual([undefined, policy.name, user.name, policy.name, policy.name, user.name, undefined]);
});

test('a covered chain: the new rules above the old, and none of these is reached; then the old are counted out', () => {
  const policy = chainOf('cali-a', ruleOf({ kind: 'accept' }), ruleOf({ kind: 'drop' }));
  const other = chainOf('cali-b', ruleOf({ kind: 'drop' }));
  const covered = new Map<string, number>([[policy.name, 3]]);
  const { text, chainOfLine } = tableInput({ kind: 'write-chains', ...place, chains: [policy, other], covered });
  const bare = text.replaceAll(/ -m comment --comment "cali:[\w-]{16}"/g, '');
  expect(bare).toBe(
    '*filter\n:cali-b - -\n-I cali-a -j RETURN\n-I cali-a --jump DROP\n-I cali-a --jump ACCEPT\n-A cali-b --jump DROP\nCOMMIT\n',
  );
  expect(chainOfLine).toEqual([undefined, other.name, policy.name, policy.name, policy.name, other.name, undefined]);
  const chains = [{ name: 'cali-a', stay: 2, go: 3 }];
  expect(tableInput({ kind: 'trim-chains', ...place, chains }).text).toBe(
    '*filter\n-D cali-a 3\n-D cali-a 3\n-D cali-a 3\nCOMMIT\n',
  );
});

test('chains to delete are emptied first, and nothing else is in the transaction', () => {
  const { text } = tableInput({ kind: 'remove-chains', ...place, names: ['cali-a', 'cali-b'] });
  expect(text).toBe('*filter\n:cali-a - -\n:cali-b - -\n-X cali-a\n-X cali-b\nCOMMIT\n');
});

test('hooks: deleted by text, then inserted so that the first is first, then appended', () => {
  const hooks = [{ chain: 'FORWARD', deletes: ['-j old'], inserts: ['-j a', '-j b'], appends: ['-j z'] }] as const;
  expect(tableInput({ kind: 'write-hooks', ...place, hooks }).text).toBe(
    '*filter\n-D FORWARD -j old\n-I FORWARD -j b\n-I FORWARD -j a\n-A FORWARD -j z\nCOMMIT\n',
  );
});

test('hooks of both styles keep their order', () => {
  const hooks = [
    hookOf('FORWARD', 'cali-a'),
    hookOf('FORWARD', 'KUBE-X', { style: 'kube' }),
    hookOf('FORWARD', 'cali-b'),
  ];
  expect(renderHooks(hooks)).toEqual([
    expect.stringMatching(/^-A FORWARD -m comment --comment "cali:[\w-]{16}" --jump cali-a$/),
    '-A FORWARD -j KUBE-X',
    expect.stringMatching(/^-A FORWARD -m comment --comment "cali:[\w-]{16}" --jump cali-b$/),
  ]);
});

test('sets: what leaves leaves first', () => {
  const set = setOf('s:a', ['10.0.0.1', '10.0.0.2']);
  expect(ipSetLines([{ set, create: true, add: ['10.0.0.1'], remove: [] }])).toEqual([
    'create cali40s:a hash:net family inet maxelem 65536',
    'add cali40s:a 10.0.0.1',
  ]);
  expect(ipSetLines([{ set, create: false, add: ['10.0.0.2'], remove: ['10.0.0.9'] }])).toEqual([
    'del cali40s:a 10.0.0.9',
    'add cali40s:a 10.0.0.2',
  ]);
});

test('a restore of sets is no transaction: all that closes comes before anything that opens', () => {
  const change = { create: false, add: ['10.0.0.2'], remove: ['10.0.0.9'] };
  const guarded = setOf('policed', ['10.0.0.2'], { gate: true, closing: new Set() });
  const sets = [setOf('s:sender', ['10.0.0.2']), guarded, setOf('s:receiver', ['10.0.0.2'])];
  expect(ipSetLines(sets.map((set) => ({ set, ...change })))).toEqual([
    'del cali40s:sender 10.0.0.9',
    'del cali40s:receiver 10.0.0.9',
    'add cali40policed 10.0.0.2',
    'del cali40policed 10.0.0.9',
    'add cali40s:sender 10.0.0.2',
    'add cali40s:receiver 10.0.0.2',
  ]);
});

test('a temporary set has room for what comes, and knows no /0', () => {
  const set = setOf('s:a', ['::/0'], { family: 'ipv6' });
  expect(temporarySetLines(set)).toEqual([
    'create cali6t0 hash:net family inet6 maxelem 65536',
    'add cali6t0 ::/1',
    'add cali6t0 8000::/1',
  ]);
  const large = setOf(
    's:a',
    Array.from({ length: 70_000 }, (_, index) => `10.${index >> 8}.0.${index & 255}`),
  );
  expect(temporarySetLines(large)[0]).toBe('create cali4t0 hash:net family inet maxelem 131072');
  expect(kernelMembers(large)).toBe(large.members);
});

test('no object can put a line of its own into a transaction', () => {
  const evil: Chain = chainOf('cali-a', { ...ruleOf({ kind: 'drop' }), comments: ['x"\nCOMMIT\n*nat\n-F\n'] });
  for (const style of ['cali', 'kube'] as const) {
    const { text } = tableInput({ kind: 'write-chains', ...place, chains: [{ ...evil, style }] });
    expect(text.split('\n')).toHaveLength(5);
  }
});

test.each([
  [[]],
  [['10.0.0.1', '10.0.0.0/8']],
  [['0.0.0.0/0', '10.0.0.0/8']],
  [['0.0.0.0/0', '0.0.0.0/1']],
  [['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '10.0.0.1']],
])('%j: as many as the kernel has', (members) => {
  const set = { ...setOf('s:a', members), type: 'hash:net' } as const;
  expect(kernelMemberCount(set)).toBe(kernelMembers(set).size);
});
