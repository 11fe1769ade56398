/** What the first plan needs is read beside other things, and only counts for a moment. */
import { expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const wanted = dataplaneOf({ chains: { filter: [chainOf('cali-a', ruleOf({ kind: 'drop' }))] } });
const none = { ipSets: [], chains: [], hooks: [] };

function setUp(aheadMs = 60_000): {
  readonly kernel: FakeKernel;
  readonly writer: KernelWriter;
  readonly reads: () => number;
} {
  const kernel = new FakeKernel();
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend, retryDelaysMs: [0], aheadMs });
  return { kernel, writer, reads: () => kernel.calls.filter(({ argv }) => argv[0] === 'iptables-nft-save').length };
}

test('the first plan reads nothing again, and compares all the same', async () => {
  const { kernel, writer, reads } = setUp();
  kernel.table('ip', 'filter').setChain('cali-old', []);
  await writer.readAhead();
  const { writes } = await writer.update(none, wanted);
  expect(writes).toBeGreaterThan(0);
  expect(kernel.table('ip', 'filter').chain('cali-a')).toHaveLength(1);
  expect(kernel.table('ip', 'filter').chain('cali-old')).toBeUndefined();
  expect(reads()).toBe(1);
});

test('what was read long ago is read again: others have written meanwhile', async () => {
  const { kernel, writer, reads } = setUp(0);
  await writer.readAhead();
  kernel.table('ip', 'filter').setChain('cali-late', []);
  await writer.update(none, wanted);
  expect(reads()).toBe(2);
  expect(kernel.table('ip', 'filter').chain('cali-late')).toBeUndefined();
});

test('where it fails the first plan reads', async () => {
  const { kernel, writer } = setUp();
  kernel.failNext(/-save$/);
  await expect(writer.readAhead()).rejects.toThrow();
  await writer.update(none, wanted);
  expect(kernel.table('ip', 'filter').chain('cali-a')).toHaveLength(1);
});

test('after the first plan there is nothing to read ahead', async () => {
  const { writer, reads } = setUp();
  await writer.update(none, wanted);
  await writer.readAhead();
  expect(reads()).toBe(1);
});
