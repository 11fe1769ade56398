/** The look at legacy tables, which tell nobody of their changes: everything of ours is seen, nothing is read twice, and a large table costs little. */
import { expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { TableLooks } from '../../src/backends/table-looks.ts';
import type { ChainChange, Dataplane } from '../../src/dataplane/dataplane.ts';
import type { ObservedTable } from '../../src/dataplane/observed.ts';
import { chainOf, dataplaneOf, hookOf, jumpTo, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const drop = ruleOf({ kind: 'drop' });
const wanted = dataplaneOf({
  chains: {
    filter: [chainOf('cali-leaf', drop, drop), chainOf('cali-FORWARD', ruleOf(jumpTo('cali-leaf')))],
    raw: [chainOf('cali-raw', drop)],
  },
  hooks: [hookOf('FORWARD', 'cali-FORWARD'), hookOf('PREROUTING', 'cali-raw', { table: 'raw' })],
});

function setUp(smallSize?: number) {
  const kernel = new FakeKernel();
  const ownership = { services: false };
  const backend = new KernelBackend({ run: kernel.run, variant: 'legacy', ownership });
  const writer = new KernelWriter({ backend, retryDelaysMs: [] });
  const time = { now: 0, costMs: 0, parsed: 0 };
  /** Counts how often what was read had to be understood. */
  const viewer = {
    async view(...tables: Parameters<KernelBackend['view']>): ReturnType<KernelBackend['view']> {
      time.now += time.costMs;
      const views = await backend.view(...tables);
      const content = (own: () => ObservedTable) => () => {
        time.parsed += 1;
        return own();
      };
      return views.map((view) => ({ ...view, content: content(view.content) }));
    },
  };
  const looks = new TableLooks({
    backend: viewer,
    now: () => time.now,
    ...(smallSize === undefined ? {} : { smallSize }),
  });
  const filter = kernel.table('ip', 'filter');
  return { kernel, writer, time, looks, filter };
}

test('after a write of ours it is seen once that all is right; what stays the same is not read again', async () => {
  const { kernel, writer, time, looks } = setUp();
  await writer.resync(wanted);
  kernel.calls.length = 0;
  expect(await looks.find(wanted)).toEqual([]);
  expect(kernel.calls.map(({ argv }) => argv.join(' '))).toEqual(['iptables-legacy-save', 'ip6tables-legacy-save']);
  const { parsed } = time;
  expect(parsed).toBeGreaterThan(0);
  kernel.table('ip', 'filter').setChain('DOCKER', ['-j RETURN']);
  kernel.table('ip', 'filter').setChain('DOCKER', ['-j ACCEPT']);
  expect(await looks.find(wanted)).toEqual([]);
  expect(time.parsed).toBe(parsed);
});

test.each<[string, string, (kernel: FakeKernel) => void]>([
  ['a rule inserted', 'filter', (kernel) => kernel.table('ip', 'filter').setChain('cali-leaf', ['-j ACCEPT'])],
  ['a chain flushed', 'filter', (kernel) => kernel.table('ip', 'filter').setChain('cali-leaf', [])],
  ['a chain of a name of ours', 'nat', (kernel) => kernel.table('ip6', 'nat').setChain('cali-strange', [])],
  ['a jump deleted', 'raw', (kernel) => kernel.table('ip', 'raw').setChain('PREROUTING', [])],
  [
    'an accept above ours',
    'filter',
    (kernel) => {
      const filter = kernel.table('ip', 'filter');
      filter.setChain('FORWARD', ['-j ACCEPT', ...(filter.chain('FORWARD') ?? [])]);
    },
  ],
])('finds %s', async (_, table, disturb) => {
  const { kernel, writer, looks } = setUp();
  await writer.resync(wanted);
  expect(await looks.find(wanted)).toEqual([]);
  disturb(kernel);
  expect(await looks.find(wanted)).toEqual([table]);
  // As long as nobody has mended it.
  expect(await looks.find(wanted)).toEqual([table]);
  const report = await writer.resync(wanted, { scope: { tables: await looks.find(wanted), ipSets: false } });
  expect(report.differenceCount).toBe(1);
  expect(await looks.find(wanted)).toEqual([]);
});

test('what somebody puts back as it was before our last write is seen', async () => {
  const { writer, looks, filter } = setUp();
  const before = dataplaneOf({ chains: { filter: [chainOf('cali-leaf', drop)] } });
  const after = dataplaneOf({ chains: { filter: [chainOf('cali-leaf', drop, drop)] } });
  await writer.resync(before);
  expect(await looks.find(before)).toEqual([]);
  const snapshot = filter.chain('cali-leaf') ?? [];
  await writer.resync(after);
  filter.setChain('cali-leaf', snapshot);
  expect(await looks.find(after)).toEqual(['filter']);
});

test('a look that a write overtakes settles nothing', async () => {
  const { kernel, writer, looks, filter } = setUp();
  const before = dataplaneOf({ chains: { filter: [chainOf('cali-leaf', drop)] } });
  const after = dataplaneOf({ chains: { filter: [chainOf('cali-leaf', drop, drop)] } });
  await writer.resync(before);
  const snapshot = filter.chain('cali-leaf') ?? [];
  let writing: Promise<unknown> | undefined;
  kernel.beforeAnswer = ([program]) => {
    if (!program.startsWith('ip6') || writing !== undefined) return;
    // The look has read one family, and waits for the other.
    writing = writer.update({ ipSets: [], chains: [changed(after)], hooks: [] }, after);
  };
  await looks.find(before);
  expect(await writing).toMatchObject({ chainsWritten: 1 });
  filter.setChain('cali-leaf', snapshot);
  expect(await looks.find(after)).toEqual(['filter']);
});

test('what the kernel has refused is seen once more, compared, and no drift from then on', async () => {
  const { kernel, writer, looks } = setUp();
  const hook = hookOf('FORWARD', 'cali-FORWARD');
  const chains = { filter: [chainOf('cali-FORWARD', drop)] };
  kernel.refuses = (rule) => rule.includes('cali-FORWARD');
  const refusing = dataplaneOf({ chains, hooks: [hook] });
  expect((await writer.resync(refusing)).refused.map(({ kind }) => kind)).toEqual(['hook']);
  expect(await looks.find(writer.possible(refusing))).toEqual(['filter']);
  await writer.resync(refusing, { scope: { tables: ['filter'], ipSets: false } });
  expect(await looks.find(writer.possible(refusing))).toEqual([]);
  kernel.table('ip', 'filter').setChain('cali-FORWARD', []);
  expect(await looks.find(writer.possible(refusing))).toEqual(['filter']);
});

test('a large table is looked at for a hundredth of the time, the others every time', async () => {
  const { kernel, writer, time, looks, filter } = setUp(400);
  const many = dataplaneOf({ chains: { filter: [chainOf('cali-leaf', ...Array.from({ length: 20 }, () => drop))] } });
  await writer.resync(many);
  time.costMs = 500;
  // What is large shows in the first look.
  expect(await looks.find(many)).toEqual([]);
  kernel.calls.length = 0;
  filter.setChain('cali-leaf', ['-j ACCEPT', ...(filter.chain('cali-leaf') ?? [])]);
  time.now += 2_000;
  expect(await looks.find(many)).toEqual([]);
  expect(kernel.calls.map(({ argv }) => argv.at(-1))).toEqual(['raw', 'mangle', 'nat', 'raw', 'mangle', 'nat']);
  kernel.table('ip', 'raw').setChain('cali-strange', []);
  expect(await looks.find(many)).toEqual(['raw']);
  kernel.table('ip', 'raw').deleteChain('cali-strange');
  time.now = 50_500;
  expect(await looks.find(many)).toEqual(['filter']);
  // The loop looks once more, and mends what it sees.
  expect(await looks.find(many)).toEqual(['filter']);
  // Who changes it all the time is followed for a tenth of the time.
  expect(await looks.find(many)).toEqual([]);
  time.now += 5_000;
  expect(await looks.find(many)).toEqual(['filter']);
});

function changed(dataplane: Dataplane): ChainChange {
  const [chain] = dataplane.tables.ipv4.chains.filter.values();
  if (chain === undefined) throw new Error('there is a chain');
  return { family: 'ipv4', table: 'filter', name: chain.name, chain };
}
