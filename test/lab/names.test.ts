import { expect, test } from 'vitest';
import { isLabName, labOfNamespace, nodeNamespace, podNamespace, underlayNamespace } from '../../src/lab/names.ts';

test.each([
  [underlayNamespace('sluice'), 'sluice'],
  [nodeNamespace('a-b', 'node.example.org'), 'a-b'],
  [podNamespace('a', 'default', 'web-0'), 'a'],
  ['sltest-1-1a', undefined],
  ['sluice-lab', undefined],
])('%s belongs to the lab %s', (netns, lab) => {
  expect(labOfNamespace(netns)).toBe(lab);
});

test('a name is a file name whatever the pod is called, and two pods never share it', () => {
  const long = 'p'.repeat(253);
  const name = podNamespace('sluice', 'n'.repeat(63), long);
  expect(name.length).toBeLessThanOrEqual(200);
  expect(podNamespace('sluice', 'n'.repeat(63), `${long.slice(1)}q`)).not.toBe(name);
  expect(labOfNamespace(name)).toBe('sluice');
});

test.each([
  ['sluice', true],
  ['a', true],
  ['lab-2', true],
  ['', false],
  ['-a', false],
  ['a.b', false],
  ['A', false],
  ['a/b', false],
  ['x'.repeat(33), false],
])('lab name %j: %s', (name, isGood) => {
  expect(isLabName(name)).toBe(isGood);
});
