/** A part of the kernel held against what should be there: what differs is seen, and nothing else is taken for a difference. */
import { describe, expect, test } from 'vitest';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { parseIpSetSave, parseSave } from '../../src/dataplane/observed.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import { renderHooks } from '../../src/dataplane/restore-input.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { differingIn, type Section } from '../../src/dataplane/section.ts';
import { chainOf, dataplaneOf, hookOf, ruleOf, setOf } from '../fakes/dataplanes.ts';

const drop = ruleOf({ kind: 'drop' });
const accept = ruleOf({ kind: 'accept' });
const chain = chainOf('cali-a', drop);
const other = chainOf('cali-b', accept);
const hook = hookOf('FORWARD', 'cali-a');
const raw = hookOf('PREROUTING', 'cali-r', { table: 'raw' });
const set = setOf('s:a', ['10.0.0.1']);
const cut = setOf('cut', [], { type: 'hash:ip,port,ip', dynamic: true });
const wanted: Dataplane = dataplaneOf({
  sets: [set, cut],
  chains: { filter: [chain, other], raw: [chainOf('cali-r')] },
  hooks: [hook, raw],
});
const none = new Map<string, never>();
const place = { family: 'ipv4', table: 'filter' } as const;

/** As iptables-save prints it: these chains, with the jump unless told otherwise. */
function saved(chains: readonly Chain[], hooks = renderHooks([hook])) {
  const lines = [...chains.map(({ name }) => `:${name} - [0:0]`), ...hooks, ...chains.flatMap(renderChain)];
  return parseSave(lines.join('\n'), { services: true });
}

function tablesOf(section: Section): readonly string[] {
  const { tables, ipSets } = differingIn(section, wanted, none);
  expect(ipSets).toBe(false);
  return tables;
}

describe('whole tables', () => {
  const whole = (...contents: readonly ReturnType<typeof saved>[]): Section => ({
    kind: 'tables',
    tables: contents.map((content) => ({ ...place, content })),
  });

  test.each([
    ['as they should be', saved([chain, other]), []],
    ['with a chain of kubelet’s', saved([chain, other, chainOf('KUBE-FIREWALL')]), []],
    ['with a chain too few', saved([chain]), ['filter']],
    ['with a chain too many', saved([chain, other, chainOf('cali-old')]), ['filter']],
    ['with another rule in one', saved([chain, chainOf('cali-b', drop)]), ['filter']],
    ['without the jump', saved([chain, other], []), ['filter']],
  ] as const)('%s', (_, content, expected) => {
    expect(tablesOf(whole(content))).toEqual(expected);
  });

  test('a table is named once, though both families differ', () => {
    expect(tablesOf(whole(saved([]), saved([])))).toEqual(['filter']);
  });

  test('of a family with nothing of ours must have nothing of ours', () => {
    const six = (content: ReturnType<typeof saved>): Section => ({
      kind: 'tables',
      tables: [{ family: 'ipv6', table: 'filter', content }],
    });
    expect([tablesOf(six(saved([], []))), tablesOf(six(saved([chain], [])))]).toEqual([[], ['filter']]);
  });
});

describe('names of chains', () => {
  const filter = ['FORWARD', 'cali-a', 'cali-b'];
  const names = (own: readonly string[], ofRaw: readonly string[] = ['PREROUTING', 'cali-r']): Section => ({
    kind: 'chain-names',
    family: 'ipv4',
    names: new Map([
      ['filter', own],
      ['raw', ofRaw],
    ]),
  });

  test.each([
    ['all of them', names([...filter, 'INPUT', 'KUBE-FIREWALL']), []],
    ['one too few', names(['FORWARD', 'cali-a']), ['filter']],
    ['one too many', names([...filter, 'cali-old']), ['filter']],
    ['the kernel’s own one with our jump is gone', names(['cali-a', 'cali-b']), ['filter']],
    ['in another table', names(filter, ['PREROUTING']), ['raw']],
    ['nothing anywhere', names([], []), ['raw', 'filter']],
  ] as const)('%s', (_, section, expected) => {
    expect(tablesOf(section)).toEqual(expected);
  });
});

describe('some chains of a table', () => {
  const some = (names: readonly string[], content: ReturnType<typeof saved>, hasHooks = false): Section => ({
    kind: 'chains',
    ...place,
    names,
    hasHooks,
    content,
  });

  test.each([
    ['as they should be; the others are not looked at', some(['cali-a'], saved([chain], [])), []],
    ['one with another rule', some(['cali-b'], saved([chainOf('cali-b', drop)])), ['filter']],
    ['one that is gone', some(['cali-a', 'cali-b'], saved([chain])), ['filter']],
    ['one that nobody wants is another look’s business', some(['cali-old'], saved([chainOf('cali-old')], [])), []],
    ['with the jump', some(['FORWARD', 'cali-a'], saved([chain]), true), []],
    ['without the jump', some(['FORWARD', 'cali-a'], saved([chain], []), true), ['filter']],
  ] as const)('%s', (_, section, expected) => {
    expect(tablesOf(section)).toEqual(expected);
  });
});

describe('sets', () => {
  const differs = (section: Section, known: Parameters<typeof differingIn>[2] = none): boolean => {
    const { tables, ipSets } = differingIn(section, wanted, known);
    expect(tables).toEqual([]);
    return ipSets;
  };
  const names = (...own: readonly string[]): Section => ({ kind: 'set-names', names: own });
  const contents = (own: readonly string[], save: string): Section => ({
    kind: 'sets',
    names: own,
    sets: parseIpSetSave(save),
  });
  const text = `create ${set.name} hash:net family inet maxelem 65536\n`;
  const cutText = `create ${cut.name} hash:ip,port,ip family inet maxelem 65536\n`;
  const member = '10.0.0.1,tcp:80,10.0.0.2';

  test.each([
    ['all names', names(set.name, cut.name), false],
    ['a name too few', names(set.name), true],
    ['a name too many', names(set.name, cut.name, 'cali40s:old'), true],
    ['its members', contents([set.name], `${text}add ${set.name} 10.0.0.1\n`), false],
    ['a member too few', contents([set.name], text), true],
    ['a member too many', contents([set.name], `${text}add ${set.name} 10.0.0.1\nadd ${set.name} 10.0.0.2\n`), true],
    ['it is gone', contents([set.name], ''), true],
    ['another type', contents([set.name], text.replace('hash:net', 'hash:ip')), true],
    ['one that nobody wants', contents(['cali40s:old'], ''), false],
    ['the agent’s own, with nothing in it', contents([cut.name], cutText), false],
    [
      'the agent’s own, with what it did not put there',
      contents([cut.name], `${cutText}add ${cut.name} ${member}\n`),
      true,
    ],
  ] as const)('%s: differs %s', (_, section, expected) => {
    expect(differs(section)).toBe(expected);
  });

  test('the agent’s own has what the agent knows of', () => {
    const known = new Map<string, { readonly members: ReadonlySet<string> }>([
      [cut.name, { members: new Set([member]) }],
      [set.name, { members: new Set() }],
    ]);
    expect(differs(contents([cut.name], `${cutText}add ${cut.name} ${member}\n`), known)).toBe(false);
    expect(differs(contents([cut.name], cutText), known)).toBe(true);
    // What is wanted of another set is what policy says, whatever is in it.
    expect(differs(contents([set.name], text), known)).toBe(true);
  });
});
