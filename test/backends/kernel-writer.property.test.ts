/** Whatever was in the kernel and whatever is wanted: after one call it is there, and nothing foreign has changed. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Dataplane, DataplaneDelta } from '../../src/dataplane/dataplane.ts';
import { DataplaneStore, ipFamilies, tableNames } from '../../src/dataplane/dataplane.ts';
import { DeltaBuilder } from '../../src/dataplane/delta-builder.ts';
import type { BuiltinChain, Chain, Hook, IpSet, TableName } from '../../src/dataplane/rule.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { chainOf, dataplaneOf, hookOf, inSet, jumpTo, markIs, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

interface Wish {
  readonly sets: readonly (readonly [id: number, members: readonly number[], gate: boolean])[];
  /** Per chain: jumps to chains of a higher number, and sets. */
  readonly chains: readonly (readonly [id: number, jumps: readonly number[], sets: readonly number[], marks: number])[];
  readonly hooks: readonly number[];
  readonly isHookedInMangle: boolean;
}

const small = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
const unique = { selector: (entry: readonly [number, ...unknown[]]) => entry[0], maxLength: 8 };

const wish: fc.Arbitrary<Wish> = fc.record({
  sets: fc.uniqueArray(fc.tuple(small(5), fc.uniqueArray(small(12), { maxLength: 6 }), fc.boolean()), unique),
  chains: fc.uniqueArray(
    fc.tuple(small(9), fc.array(small(9), { maxLength: 3 }), fc.array(small(5), { maxLength: 2 }), small(3)),
    unique,
  ),
  hooks: fc.uniqueArray(small(9), { maxLength: 3 }),
  isHookedInMangle: fc.boolean(),
});

function dataplaneFor(family: IpFamily, { sets, chains, hooks, isHookedInMangle }: Wish): Dataplane {
  const prefix = family === 'ipv4' ? '10.0.0.' : 'fd00::';
  const wantedSets = sets.map(([id, members, gate]) => {
    const texts = members.map((member) => (member === 12 ? everything(family) : `${prefix}${member}`));
    return setOf(`s:${id}`, texts, { family, ...(gate ? { gate } : {}) });
  });
  const setIds = new Set(sets.map(([id]) => id));
  const chainIds = new Set(chains.map(([id]) => id));
  const chainFor = ([id, jumps, ofSets, marks]: Wish['chains'][number]): Chain =>
    chainOf(
      `cali-${id}`,
      ...jumps
        .filter((target) => target > id && chainIds.has(target))
        .map((target) => ruleOf(jumpTo(`cali-${target}`))),
      ...ofSets
        .filter((set) => setIds.has(set))
        .map((set) => ruleOf({ kind: 'drop' }, inSet(setOf(`s:${set}`, [], { family }).name))),
      ...Array.from({ length: marks }, (_, mark) => ruleOf({ kind: 'accept' }, markIs(mark + 1))),
    );
  const all = chains.map(chainFor);
  const table: TableName = isHookedInMangle ? 'mangle' : 'filter';
  const place: BuiltinChain = isHookedInMangle ? 'POSTROUTING' : 'FORWARD';
  const wantedHooks: Hook[] = hooks
    .filter((id) => chainIds.has(id))
    .map((id, index) => hookOf(place, `cali-${id}`, { table, position: index === 2 ? 'last' : 'first' }));
  return dataplaneOf({
    sets: wantedSets,
    chains: { filter: all, mangle: all },
    hooks: wantedHooks,
    families: [family],
  });
}

function everything(family: IpFamily): string {
  return family === 'ipv4' ? '0.0.0.0/0' : '::/0';
}

/** What leads from one state to another, as the compiler would say it. */
function deltaBetween(before: Dataplane, after: Dataplane): DataplaneDelta {
  const builder = new DeltaBuilder(before);
  for (const set of after.ipSets.values()) builder.putSet(set);
  for (const { name, family } of before.ipSets.values()) {
    if (!after.ipSets.has(name)) builder.changeSet({ kind: 'remove', name, family });
  }
  for (const of of ipFamilies) for (const table of tableNames) addTable(builder, { of, table }, before, after);
  for (const of of ipFamilies) builder.putHooks(of, after.tables[of].hooks);
  return builder.finish();
}

function addTable(
  builder: DeltaBuilder,
  { of, table }: { of: IpFamily; table: TableName },
  before: Dataplane,
  after: Dataplane,
): void {
  const chains = after.tables[of].chains[table];
  for (const chain of chains.values()) builder.putChain(of, table, chain);
  const gone = [...before.tables[of].chains[table].keys()].filter((name) => !chains.has(name));
  for (const name of gone) builder.removeChain(of, table, name);
}

function writerFor(kernel: FakeKernel): KernelWriter {
  const backend = new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
  return new KernelWriter({ backend, retryDelaysMs: [0] });
}

/** Somebody else's things, some of them on top of ours. */
function addForeign(kernel: FakeKernel): () => string {
  const filter = kernel.table('ip', 'filter');
  filter.setChain('DOCKER', ['-j ACCEPT']);
  filter.setChain('FORWARD', ['-j DOCKER', ...(filter.chain('FORWARD') ?? []), '-s 10.0.0.0/8 -j ACCEPT']);
  kernel.sets.put('foreign', { type: 'hash:ip', family: 'inet', maxElements: 10, members: new Set(['1.2.3.4']) });
  return () =>
    [
      filter.chain('DOCKER'),
      filter.chain('FORWARD')?.filter((rule) => !rule.includes('cali')),
      [...(kernel.sets.get('foreign')?.members ?? [])],
    ].join();
}

async function expectInKernel(kernel: FakeKernel, dataplane: Dataplane): Promise<void> {
  expect(await writerFor(kernel).resync(dataplane)).toMatchObject({ writes: 0, differenceCount: 0, refused: [] });
  const expected: IpSet[] = [...dataplane.ipSets.values()];
  expect(kernel.sets.names.filter((name) => name.startsWith('cali')).toSorted()).toEqual(
    expected.map(({ name }) => name).toSorted(),
  );
}

const family = fc.constantFrom<IpFamily>('ipv4', 'ipv6');

test('one compare brings any kernel to any wanted state', async () => {
  await fc.assert(
    fc.asyncProperty(family, wish, wish, async (of, first, second) => {
      const kernel = new FakeKernel();
      await writerFor(kernel).resync(dataplaneFor(of, first));
      const foreign = addForeign(kernel);
      const before = foreign();
      const wanted = dataplaneFor(of, second);
      expect((await writerFor(kernel).resync(wanted)).refused).toEqual([]);
      expect(foreign()).toBe(before);
      await expectInKernel(kernel, wanted);
    }),
    { numRuns: 200 },
  );
}, 120_000);

test('a history of changes, written one by one, ends where it should without a single read', async () => {
  await fc.assert(
    fc.asyncProperty(family, fc.array(wish, { minLength: 1, maxLength: 5 }), async (of, wishes) => {
      const kernel = new FakeKernel();
      const writer = writerFor(kernel);
      const store = new DataplaneStore();
      await writer.resync(store);
      for (const next of wishes) {
        const delta = deltaBetween(store, dataplaneFor(of, next));
        store.apply(delta);
        kernel.calls.length = 0;
        expect((await writer.update(delta, store)).refused).toEqual([]);
        expect(kernel.calls.filter((call) => !kernel.writes.includes(call))).toEqual([]);
        await expectInKernel(kernel, store);
      }
    }),
    { numRuns: 200 },
  );
}, 120_000);

test('wherever a program is killed, the same call ends right', async () => {
  await fc.assert(
    fc.asyncProperty(
      family,
      wish,
      wish,
      fc.constantFrom(/ipset/, /tables-nft-restore/, /tables-nft-save/),
      async (of, first, second, program) => {
        const kernel = new FakeKernel();
        const writer = writerFor(kernel);
        const before = dataplaneFor(of, first);
        const after = dataplaneFor(of, second);
        await writer.resync(before);
        kernel.failNext(program);
        await writer.update(deltaBetween(before, after), after);
        kernel.clearFailures();
        await expectInKernel(kernel, after);
      },
    ),
    { numRuns: 200 },
  );
}, 120_000);

test('cleanup leaves what was there before', async () => {
  await fc.assert(
    fc.asyncProperty(family, wish, async (of, wanted) => {
      const kernel = new FakeKernel();
      const foreign = addForeign(kernel);
      const [before, table] = [foreign(), kernel.table('ip', 'filter').save()];
      await writerFor(kernel).resync(dataplaneFor(of, wanted));
      await writerFor(kernel).cleanup();
      expect(foreign()).toBe(before);
      expect(kernel.table('ip', 'filter').save()).toBe(table);
      expect(kernel.sets.names).toEqual(['foreign']);
    }),
  );
});
