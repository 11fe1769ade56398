import { expect, test } from 'vitest';
import { describeDiff } from '../../src/dataplane/describe-diff.ts';
import { diffDataplane, diffDelta, ruleIds, sizeOfDiff } from '../../src/dataplane/diff.ts';
import { diffHooks } from '../../src/dataplane/hook-diff.ts';
import { parseSave } from '../../src/dataplane/observed.ts';
import { ObservedStore } from '../../src/dataplane/observed-store.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import { renderHooks } from '../../src/dataplane/restore-input.ts';
import type { Chain, Hook } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, ruleOf, setOf } from '../fakes/dataplanes.ts';

const drop = ruleOf({ kind: 'drop' });

/** A table as iptables-save prints it, with these chains and the FORWARD rules given. */
function readBack(chains: readonly Chain[], forward: readonly string[] = [], services = false): ObservedStore {
  const lines = [
    ':FORWARD ACCEPT [0:0]',
    ...chains.map(({ name }) => `:${name} - [0:0]`),
    ...forward.map((rule) => `-A FORWARD ${rule}`),
    ...chains.flatMap(renderChain),
  ];
  const observed = new ObservedStore();
  const content = parseSave(lines.join('\n'), { services });
  observed.replace({ tables: [{ family: 'ipv4', table: 'filter', content }] });
  return observed;
}

test.each<[string, Chain[], Chain[], number]>([
  ['nothing', [], [], 0],
  ['the same', [chainOf('cali-a', drop)], [chainOf('cali-a', drop)], 0],
  ['a missing chain', [chainOf('cali-a')], [], 1],
  ['a stale chain', [], [chainOf('cali-a')], 1],
  ['a missing rule', [chainOf('cali-a', drop, drop)], [chainOf('cali-a', drop)], 1],
  [
    'rules the other way round',
    [chainOf('cali-a', drop, ruleOf({ kind: 'accept' }))],
    [chainOf('cali-a', ruleOf({ kind: 'accept' }), drop)],
    1,
  ],
])('%s', (_, desired, found, count) => {
  expect(sizeOfDiff(diffDataplane(dataplaneOf({ chains: { filter: desired } }), readBack(found)))).toBe(count);
});

test('KUBE chains are compared by normal form, and shared ones are never removed', () => {
  const chain: Chain = {
    ...chainOf('KUBE-SERVICES', ruleOf({ kind: 'set-mark', value: 0x4000, mask: 0x4000 })),
    style: 'kube',
  };
  const dataplane = dataplaneOf({ chains: { filter: [chain] } });
  const saved = ':KUBE-SERVICES - [0:0]\n:KUBE-FIREWALL - [0:0]\n-A KUBE-SERVICES -j MARK --set-xmark 0x4000/0x4000\n';
  const observed = new ObservedStore();
  observed.replace({ tables: [{ family: 'ipv4', table: 'filter', content: parseSave(saved, { services: true }) }] });
  expect(sizeOfDiff(diffDataplane(dataplane, observed))).toBe(0);
  expect(ruleIds(chain)).toEqual(['--set-xmark 0x4000/0x4000 -j MARK']);
});

test('a chain of unknown content is written again', () => {
  const observed = readBack([chainOf('cali-a', drop)]);
  observed.forget('ipv4', 'filter', ['cali-a']);
  expect(sizeOfDiff(diffDataplane(dataplaneOf({ chains: { filter: [chainOf('cali-a', drop)] } }), observed))).toBe(1);
});

const jump = hookOf('FORWARD', 'cali-FORWARD');
const kube = hookOf('FORWARD', 'KUBE-FORWARD', { style: 'kube' });
const last: Hook = { ...hookOf('FORWARD', 'x', { position: 'last' }), rule: ruleOf({ kind: 'accept' }) };
const textOf = (hook: Hook): string => (renderHooks([hook])[0] ?? '').slice('-A FORWARD '.length);
const jumpText = textOf(jump);
const kubeText = textOf(kube);
const lastText = textOf(last);
const foreign = '-s 10.0.0.0/8 -j ACCEPT';

test.each<
  [
    string,
    readonly string[],
    { deletes: readonly string[]; inserts: readonly string[]; appends: readonly string[] } | undefined,
  ]
>([
  ['all in place', [jumpText, kubeText, foreign, lastText], undefined],
  ['foreign rules below and between', [jumpText, kubeText, lastText, foreign], undefined],
  ['nothing there', [foreign], { deletes: [], inserts: [jumpText, kubeText], appends: [lastText] }],
  [
    'a foreign rule above',
    [foreign, jumpText, kubeText, lastText],
    { deletes: [jumpText, kubeText, lastText], inserts: [jumpText, kubeText], appends: [lastText] },
  ],
  [
    'a foreign rule between the first',
    [jumpText, foreign, kubeText, lastText],
    { deletes: [jumpText, kubeText, lastText], inserts: [jumpText, kubeText], appends: [lastText] },
  ],
  [
    'the other way round',
    [kubeText, jumpText, lastText],
    { deletes: [kubeText, jumpText, lastText], inserts: [jumpText, kubeText], appends: [lastText] },
  ],
  ['the last missing', [jumpText, kubeText], { deletes: [], inserts: [], appends: [lastText] }],
  [
    'the jump twice',
    [jumpText, kubeText, jumpText, lastText],
    { deletes: [jumpText, kubeText, jumpText, lastText], inserts: [jumpText, kubeText], appends: [lastText] },
  ],
  [
    'our hash before another target',
    [jumpText.replace('--jump cali-FORWARD', '--jump cali-OTHER'), kubeText, lastText],
    {
      deletes: [jumpText.replace('--jump cali-FORWARD', '--jump cali-OTHER'), kubeText, lastText],
      inserts: [jumpText, kubeText],
      appends: [lastText],
    },
  ],
  [
    'an old hook of ours below',
    [jumpText, kubeText, lastText, '-m comment --comment "cali:0123456789abcdef" -j ACCEPT'],
    { deletes: [lastText, '-m comment --comment "cali:0123456789abcdef" -j ACCEPT'], inserts: [], appends: [lastText] },
  ],
])('hooks: %s', (_, found, expected) => {
  const { hooks } = readBack([], found, true).tables.ipv4.filter;
  const writes = diffHooks([jump, kube, last], hooks);
  expect(writes).toEqual(expected === undefined ? [] : [{ chain: 'FORWARD', ...expected }]);
});

test("kubelet's jump to its own firewall chain is not ours to delete", () => {
  const { hooks } = readBack([], ['-j KUBE-FIREWALL', jumpText], true).tables.ipv4.filter;
  expect(diffHooks([jump], hooks)).toEqual([
    { chain: 'FORWARD', deletes: [jumpText], inserts: [jumpText], appends: [] },
  ]);
  const inPlace = readBack([], [jumpText, '-j KUBE-FIREWALL'], true).tables.ipv4.filter;
  expect(diffHooks([jump], inPlace.hooks)).toEqual([]);
});

test('after a write the picture of the hooks is right', () => {
  const observed = readBack([], [foreign, jumpText, lastText]);
  const hooks = diffHooks([jump, last], observed.tables.ipv4.filter.hooks);
  observed.apply({ kind: 'write-hooks', family: 'ipv4', table: 'filter', hooks });
  expect(diffHooks([jump, last], observed.tables.ipv4.filter.hooks)).toEqual([]);
});

test('members that changed, worked out from the change or from the whole set alike', () => {
  const before = setOf('s:a', ['10.0.0.1', '10.0.0.2']);
  const after = setOf('s:a', ['10.0.0.2', '10.0.0.3', '0.0.0.0/0']);
  const observed = new ObservedStore();
  observed.apply({ kind: 'write-sets', sets: [{ set: before, create: true, add: [...before.members], remove: [] }] });
  const expected = [{ set: after, create: false, add: ['10.0.0.3', '0.0.0.0/1', '128.0.0.0/1'], remove: ['10.0.0.1'] }];
  const whole = diffDataplane(dataplaneOf({ sets: [after] }), observed).sets.write;
  const members = { kind: 'members', set: after, added: ['10.0.0.3', '0.0.0.0/0'], removed: ['10.0.0.1'] } as const;
  const small = diffDelta({ ipSets: [members], chains: [], hooks: [] }, observed).sets.write;
  expect(whole.map(({ add }) => new Set(add))).toEqual(expected.map(({ add }) => new Set(add)));
  expect(whole.map(({ remove }) => remove)).toEqual(expected.map(({ remove }) => remove));
  expect(small.map(({ add, remove }) => [new Set(add), remove])).toEqual(
    whole.map(({ add, remove }) => [new Set(add), remove]),
  );
});

test('taking a /0 away again leaves what else covers a half', () => {
  const before = setOf('s:a', ['0.0.0.0/0', '0.0.0.0/1']);
  const after = setOf('s:a', ['0.0.0.0/1']);
  const observed = new ObservedStore();
  observed.apply({
    kind: 'write-sets',
    sets: [{ set: before, create: true, add: ['0.0.0.0/1', '128.0.0.0/1'], remove: [] }],
  });
  const change = { kind: 'members', set: after, added: [], removed: ['0.0.0.0/0'] } as const;
  expect(diffDelta({ ipSets: [change], chains: [], hooks: [] }, observed).sets.write).toEqual([
    { set: after, create: false, add: [], remove: ['128.0.0.0/1'] },
  ]);
});

test('a difference is told as it was and as it shall be, the first hundred of them', () => {
  const observed = readBack([chainOf('cali-a', drop)], [foreign]);
  const dataplane = dataplaneOf({
    sets: [setOf('s:a', ['10.0.0.1'])],
    chains: { filter: [chainOf('cali-b')] },
    hooks: [jump],
  });
  const told = describeDiff(diffDataplane(dataplane, observed), observed);
  expect(told.map(({ place, before, after }) => `${place}: ${before} -> ${after}`)).toEqual([
    'ipset cali40s:a: absent -> with 10.0.0.1',
    'ipv4 filter chain cali-b: absent -> empty',
    `ipv4 filter hooks in FORWARD: empty -> ${jumpText}`,
    `ipv4 filter chain cali-a: ${ruleIds(chainOf('cali-a', drop)).join()} -> absent`,
  ]);
  const many = dataplaneOf({ chains: { filter: Array.from({ length: 200 }, (_, index) => chainOf(`cali-${index}`)) } });
  expect(describeDiff(diffDataplane(many, observed), observed)).toHaveLength(100);
});
