/** Growth is what stays after the beginning. */
import { expect, test } from 'vitest';
import { growthOf } from './growth.ts';

function series(heapMb: (index: number) => number) {
  return Array.from({ length: 40 }, (_, index) => ({ cases: index * 25, heapMb: heapMb(index), residentMb: 100 }));
}

test.each<[string, (index: number) => number, boolean]>([
  ['a level', () => 40, true],
  ['a cache that fills at first', (index) => Math.min(80, 40 + index * 8), true],
  ['a saw', (index) => 40 + (index % 4), true],
  ['half a megabyte a round', (index) => 40 + index / 2, false],
])('%s', (_what, heapMb, isFlat) => {
  expect(growthOf(series(heapMb)).isFlat).toBe(isFlat);
});

test('a resident set that grows', () => {
  const samples = series(() => 40).map((sample, index) => ({ ...sample, residentMb: 100 + index * 5 }));
  expect(growthOf(samples)).toEqual({
    isFlat: false,
    text: 'heap 40.0 MB -> 40.0 MB, resident 175.0 MB -> 275.0 MB (second quarter -> last)',
  });
});
