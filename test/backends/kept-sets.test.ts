/** The kernel lets go of a removed rule's set a moment after the rule: what could not be destroyed then is destroyed soon, and is no drift. */
import { expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const old = setOf('s:old', ['10.0.0.1']);
const user = chainOf('cali-pi-a', ruleOf({ kind: 'accept' }, inSet(old.name)));
const before = dataplaneOf({ sets: [old], chains: { filter: [user] } });
const after = dataplaneOf({});
const change = {
  ipSets: [{ kind: 'remove', name: old.name, family: 'ipv4' }],
  chains: [{ family: 'ipv4', table: 'filter', name: user.name }],
  hooks: [],
} as const;
const nothing = { ipSets: [], chains: [], hooks: [] };

/** A kernel in which no set can be destroyed `busy` times. */
async function setUp(busy: number, letGoDelaysMs: readonly number[] = []) {
  const kernel = new FakeKernel();
  let left = busy;
  let tries = 0;
  const run: Run = async (argv, options) => {
    if (options?.input?.startsWith('destroy ') === true) {
      tries += 1;
      left -= 1;
      const stderr = 'ipset v7.17: Error in line 1: Set cannot be destroyed: it is in use by a kernel component';
      if (left >= 0) throw new CommandError({ argv, exitCode: 1, stderr });
    }
    return kernel.run(argv, options);
  };
  const backend = new KernelBackend({ run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend, retryDelaysMs: [0], letGoDelaysMs });
  await writer.resync(before);
  await writer.update(change, after);
  return { kernel, writer, tries: () => tries };
}

test('what the kernel lets go of soon goes with the write itself', async () => {
  const { kernel } = await setUp(2, [0, 0]);
  expect(kernel.sets.has(old.name, 'inet')).toBe(false);
});

test('the next write destroys it, whatever it is about', async () => {
  const { kernel, writer } = await setUp(1);
  expect(kernel.sets.has(old.name, 'inet')).toBe(true);
  await writer.update(nothing, after);
  expect(kernel.sets.has(old.name, 'inet')).toBe(false);
});

test('that there is one is told, until it is gone or given up', async () => {
  const { writer } = await setUp(1);
  expect(writer.hasKeptSets).toBe(true);
  await writer.update(nothing, after);
  expect(writer.hasKeptSets).toBe(false);
  const { writer: held } = await setUp(Infinity);
  for (let round = 0; round < 4; round += 1) await held.update(nothing, after);
  expect(held.hasKeptSets).toBe(false);
});

test('a compare destroys it before it looks: it is nobody else doing', async () => {
  const { kernel, writer } = await setUp(1);
  expect(await writer.resync(after)).toMatchObject({ differenceCount: 0 });
  expect(kernel.sets.has(old.name, 'inet')).toBe(false);
});

test('a set that is wanted again stays', async () => {
  const { kernel, writer } = await setUp(1);
  await writer.update({ ...nothing, ipSets: [{ kind: 'create', set: old }] }, before);
  await writer.update(nothing, before);
  expect(kernel.sets.has(old.name, 'inet')).toBe(true);
});

test('what somebody else holds is not tried for ever', async () => {
  const { writer, tries } = await setUp(Infinity);
  for (let round = 0; round < 20; round += 1) await writer.update(nothing, after);
  expect(tries()).toBe(5);
});
