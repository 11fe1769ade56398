/** A set that the agent fills by itself: the writer keeps its members in mind, makes it where it is missing, and makes room. */
import { expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { dataplaneOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const cut = setOf('cut', [], { type: 'hash:ip,port,ip', dynamic: true });
const member = (index: number): string => `10.0.0.${index},tcp:80,10.0.1.1`;

async function setUp(maxElements?: number) {
  const kernel = new FakeKernel();
  if (maxElements !== undefined)
    kernel.sets.put(cut.name, { type: cut.type, family: 'inet', maxElements, members: new Set([member(1)]) });
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend, retryDelaysMs: [] });
  if (maxElements !== undefined) await writer.resync(dataplaneOf({ sets: [cut] }));
  return { kernel, writer };
}

test('is made with its first members where it is not there', async () => {
  const { kernel, writer } = await setUp();
  expect(await writer.changeMembers(cut, { add: [member(1)], remove: [] })).toMatchObject({
    writes: 1,
    setsWritten: 1,
  });
  expect(kernel.sets.get(cut.name)).toMatchObject({ type: cut.type, members: new Set([member(1)]) });
});

test('is full at its limit, and is exchanged for a larger one with all its members beyond it', async () => {
  const { kernel, writer } = await setUp(2);
  await writer.changeMembers(cut, { add: [member(2)], remove: [] });
  expect(kernel.sets.get(cut.name)?.maxElements).toBe(2);
  await writer.changeMembers(cut, { add: [member(3)], remove: [member(1)] });
  expect(kernel.sets.get(cut.name)?.maxElements).toBe(2);
  await writer.changeMembers(cut, { add: [member(4)], remove: [] });
  const members = new Set([2, 3, 4].map(member));
  expect(kernel.sets.get(cut.name)).toMatchObject({ maxElements: 65_536, members });
  expect(writer.observed.ipSets.get(cut.name)?.members).toEqual(members);
});
