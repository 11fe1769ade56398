/** What the fuzz once found stays mended; and the fuzz itself finds what is wrong. */
import { expect, test } from 'vitest';
import { chainName } from '../../src/dataplane/names.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { dataplaneOf, jumpTo, ruleOf } from '../fakes/dataplanes.ts';
import { readCorpus } from './fuzz-case.ts';
import { judge } from './judge.ts';
import { editBytes, mutate } from './mutate.ts';
import { checkRestoreText } from './restore-grammar.ts';

const corpus = readCorpus();

test.each([...corpus.keys()])('corpus: %s', async (file) => {
  const one = corpus.get(file);
  expect(one?.why).not.toBe('');
  if (one !== undefined) expect(await judge(one)).toHaveLength(Math.max(1, one.texts.length));
});

const drop = ruleOf({ kind: 'drop' });

test.each<[string, Chain]>([
  ['a name with a space', { name: chainName('cali-pi-a -j ACCEPT'), style: 'cali', rules: [drop] }],
  ['a name with a line end', { name: chainName('cali-pi-a\nCOMMIT'), style: 'cali', rules: [drop] }],
  ['a name with a quote', { name: chainName('cali-pi-a"'), style: 'kube', rules: [drop] }],
  ['a jump to nowhere', { name: chainName('cali-pi-a'), style: 'cali', rules: [ruleOf(jumpTo('cali-nowhere'))] }],
])('the grammar refuses %s', (_what, chain) => {
  const dataplane: Dataplane = dataplaneOf({ chains: { filter: [chain] } });
  expect(() => checkRestoreText(dataplane, 'ipv4')).toThrow(/not a restore line|which is no chain/);
});

test('mutations change one place of a plain object', () => {
  const root = { a: [{ b: 1 }, 2], c: 'd' };
  expect(mutate(root, { kind: 'replace', at: 3, value: 'x' })).toEqual({ a: [{ b: 'x' }, 2], c: 'd' });
  expect(mutate(root, { kind: 'delete', at: 5 })).toEqual({ a: [{ b: 1 }, 2] });
  expect(mutate(root, { kind: 'add', at: 2, key: 'e', value: null })).toEqual({ a: [{ b: 1, e: null }, 2], c: 'd' });
  expect(mutate(root, { kind: 'repeat', at: 1, times: 2 })).toEqual({ a: [{ b: 1 }, 2, { b: 1 }, 2], c: 'd' });
  expect(mutate(root, { kind: 'move', at: 5, from: 3 })).toEqual({ a: [{ b: 1 }, 2], c: 1 });
});

test('edits of bytes', () => {
  const edit = (kind: 'flip' | 'insert' | 'delete' | 'copy', ...bytes: number[]) =>
    editBytes('abcdef', [{ at: 1, kind, bytes: Uint8Array.from(bytes) }]);
  expect(edit('insert', 0x78)).toBe('axbcdef');
  expect(edit('delete', 0, 0)).toBe('adef');
  expect(edit('flip', 0x20)).toBe('aBcdef');
  expect(edit('copy', 0)).toBe('abcdefbcdef');
  expect(edit('insert', 0xff)).toBe('a\uFFFDbcdef');
});
