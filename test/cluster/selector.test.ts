import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LabelSelector, Labels } from '../../src/cluster/objects.ts';
import { LabelIndex } from '../../src/cluster/label-index.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { SelectorIndex } from '../../src/cluster/selector-index.ts';
import { someLabels, someSelector } from '../policy/arbitrary.ts';
import { empty, expressions, labels } from '../policy/objects.ts';

describe('a selector', () => {
  test.each<[string, LabelSelector, Labels, boolean]>([
    ['empty matches everything', empty, {}, true],
    ['every label must match', labels({ a: '1', b: '2' }), { a: '1' }, false],
    ['further labels do not matter', labels({ a: '1' }), { a: '1', b: '2' }, true],
    ['an empty value is a value', labels({ a: '' }), { a: '' }, true],
    ['an absent label is not an empty one', labels({ a: '' }), {}, false],
    ['In', expressions({ key: 'a', operator: 'In', values: ['1', '2'] }), { a: '2' }, true],
    ['In, absent', expressions({ key: 'a', operator: 'In', values: ['1'] }), {}, false],
    ['NotIn', expressions({ key: 'a', operator: 'NotIn', values: ['1'] }), { a: '1' }, false],
    ['NotIn, absent', expressions({ key: 'a', operator: 'NotIn', values: ['1'] }), {}, true],
    ['Exists', expressions({ key: 'a', operator: 'Exists', values: [] }), { a: '' }, true],
    ['Exists, absent', expressions({ key: 'a', operator: 'Exists', values: [] }), {}, false],
    ['DoesNotExist', expressions({ key: 'a', operator: 'DoesNotExist', values: [] }), { a: '' }, false],
    ['DoesNotExist, absent', expressions({ key: 'a', operator: 'DoesNotExist', values: [] }), {}, true],
    [
      'Exists does not see inherited names',
      expressions({ key: 'toString', operator: 'Exists', values: [] }),
      {},
      false,
    ],
    [
      'NotIn does not see inherited names',
      expressions({ key: 'toString', operator: 'NotIn', values: ['x'] }),
      {},
      true,
    ],
  ])('%s', (_name, selector, own, expected) => {
    expect(matchesSelector(selector, own)).toBe(expected);
  });
});

const selectors = fc.array(someSelector, { maxLength: 12 });

test('SelectorIndex finds what trying every selector finds, also after deletions', () => {
  fc.assert(
    fc.property(selectors, fc.array(fc.nat(11), { maxLength: 6 }), someLabels, (all, deleted, own) => {
      const index = new SelectorIndex<number>();
      for (const [item, selector] of all.entries()) index.add(selector, item);
      for (const item of deleted) index.delete(item);
      const left = all.map((_selector, item) => item).filter((item) => !deleted.includes(item));
      const expected = left.filter((item) => {
        const selector = all[item];
        return selector !== undefined && matchesSelector(selector, own);
      });
      const found = index.matching(own);
      expect([found.length, new Set(found)]).toEqual([expected.length, new Set(expected)]);
      expect(index.size).toBe(left.length);
    }),
  );
});

test('SelectorIndex holds nothing once everything is deleted', () => {
  fc.assert(
    fc.property(selectors, someLabels, (all, own) => {
      const index = new SelectorIndex<number>();
      for (const [item, selector] of all.entries()) index.add(selector, item);
      for (const item of all.keys()) index.delete(item);
      expect([index.size, index.matching(own)]).toEqual([0, []]);
    }),
  );
});

test('LabelIndex never leaves out a match, whenever its keys were first asked for', () => {
  const objects = fc.array(someLabels, { maxLength: 12 });
  fc.assert(
    fc.property(objects, objects, selectors, fc.constantFrom(0, 3), (before, later, asked, scanLimit) => {
      const present = new Set(before.map((own) => ({ labels: own })));
      const index = new LabelIndex(() => present, scanLimit);
      for (const object of present) index.add(object);
      for (const selector of asked) index.candidates(selector, present.size);
      for (const object of later.map((own) => ({ labels: own }))) {
        present.add(object);
        index.add(object);
      }
      for (const object of [...present].slice(0, 3)) {
        present.delete(object);
        index.delete(object);
      }
      for (const selector of asked) {
        const found = index.candidates(selector, present.size);
        const candidates = found === undefined ? [...present] : found.groups.flatMap((group) => [...group]);
        const matches = [...present].filter((object) => matchesSelector(selector, object.labels));
        expect(candidates.filter((object) => matchesSelector(selector, object.labels))).toHaveLength(matches.length);
        if (found !== undefined) expect(candidates).toHaveLength(found.size);
      }
    }),
  );
});
