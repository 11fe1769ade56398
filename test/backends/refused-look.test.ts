/** What the kernel has refused must not look like drift for ever: every look would end in a compare. */
import { expect, test } from 'vitest';
import { findDrift } from '../../src/backends/drift-check.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

test.each([
  ['a member', setOf('s:bad', ['10.0.0.1', 'fd00::1'])],
  [
    'a whole set',
    setOf(
      's:bad',
      Array.from({ length: 100 }, (_, index) => `fd00::${index + 1}`),
    ),
  ],
])('%s: the look finds what others did, and not this', async (_, bad) => {
  const kernel = new FakeKernel();
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend });
  const good = setOf('s:good', ['10.0.0.3']);
  const wanted = dataplaneOf({ sets: [bad, good] });
  expect((await writer.resync(wanted)).refused.length).toBeGreaterThan(0);
  expect(await findDrift(wanted, backend, { hooks: false })).toMatchObject({ ipSets: true });
  expect(await findDrift(writer.possible(wanted), backend, { hooks: false })).toEqual({ tables: [], ipSets: false });
  kernel.sets.get(good.name)?.members.clear();
  expect(await findDrift(writer.possible(wanted), backend, { hooks: false })).toMatchObject({ ipSets: true });
});

test('a rule refused for a set that somebody has just destroyed is no bad rule: sets are read again, made, and the rule goes in', async () => {
  const kernel = new FakeKernel();
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend, retryDelaysMs: [1] });
  const set = setOf('s:a', ['10.0.0.1']);
  const wanted = dataplaneOf({
    sets: [set],
    chains: { filter: [chainOf('cali-a', ruleOf({ kind: 'drop' }, inSet(set.name)))] },
  });
  await writer.resync(wanted);
  kernel.table('ip', 'filter').deleteChain('cali-a');
  await kernel.run(['ipset', 'destroy', set.name]);
  // Rules have events and sets have none: the rules are looked at first.
  const { refused } = await writer.resync(wanted, { scope: { tables: ['filter'], ipSets: false } });
  expect(refused).toEqual([]);
  expect(kernel.table('ip', 'filter').chain('cali-a')).toHaveLength(1);
  expect([...(kernel.sets.get(set.name)?.members ?? [])]).toEqual(['10.0.0.1']);
});
