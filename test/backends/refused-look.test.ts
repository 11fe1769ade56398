/** What the kernel has refused must not look like drift for ever: every look would end in a compare. */
import { expect, test } from 'vitest';
import { findDrift } from '../../src/backends/drift-check.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { dataplaneOf, setOf } from '../fakes/dataplanes.ts';
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
