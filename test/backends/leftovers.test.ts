/** What nothing reaches any more is left behind by a change, and taken away when it is calm: nothing is lost and nothing stays. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { TableLooks } from '../../src/backends/table-looks.ts';
import type { Dataplane, DataplaneDelta } from '../../src/dataplane/dataplane.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Chain, IpSet } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, inSet, jumpTo, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const leaving = { isLeaving: true } as const;
const accept = ruleOf({ kind: 'accept' });
const drop = ruleOf({ kind: 'drop' });
const endpoint = (of: string): Chain => chainOf(`cali-pi-${of}`, accept, drop);
const service = (...of: readonly string[]): Chain =>
  chainOf('cali-tw-a', ...of.map((one) => ruleOf(jumpTo(`cali-pi-${one}`))));

function state(...of: readonly string[]): Dataplane {
  return dataplaneOf({ chains: { filter: [...of.map(endpoint), service(...of)] } });
}

/** As the compiler says it: what is new, what changed, what is gone. */
function changeOf(before: readonly string[], after: readonly string[]): DataplaneDelta {
  const added = after.filter((of) => !before.includes(of)).map(endpoint);
  const gone = before.filter((of) => !after.includes(of)).map((of) => ({ name: endpoint(of).name }));
  const written = [...added, service(...after)].map((chain) => ({ name: chain.name, chain }));
  return {
    ipSets: [],
    chains: [...written, ...gone].map((change) => ({ family: 'ipv4', table: 'filter', ...change })),
    hooks: [],
  };
}

function writerOf(kernel: FakeKernel): KernelWriter {
  return new KernelWriter({ backend: backendOf(kernel, 'nft'), retryDelaysMs: [0], letGoDelaysMs: [] });
}

function legacyOf(kernel: FakeKernel) {
  const backend = backendOf(kernel, 'legacy');
  return { backend, writer: new KernelWriter({ backend, retryDelaysMs: [0], letGoDelaysMs: [] }) };
}

function backendOf(kernel: FakeKernel, variant: 'nft' | 'legacy'): KernelBackend {
  return new KernelBackend({ run: kernel.run, variant, families: ['ipv4'], ownership: { services: false } });
}

async function setUp(before: Dataplane) {
  const kernel = new FakeKernel();
  const writer = writerOf(kernel);
  await writer.resync(before);
  kernel.calls.length = 0;
  return { kernel, writer };
}

function verbs(kernel: FakeKernel): readonly string[] {
  const all = kernel.writes.map(({ input }) =>
    [...new Set([...input.matchAll(/^(?::\S+|-[A-Z] \S+|destroy \S+)/gm)].map(([line]) => line))].join(' '),
  );
  kernel.calls.length = 0;
  return all;
}

function rulesOf(kernel: FakeKernel, name: string): readonly string[] {
  return (kernel.table('ip', 'filter').chain(name) ?? []).map((rule) => rule.replace(/^.*(?=-(?:j|-jump|g) )/, ''));
}

async function expectClean(kernel: FakeKernel, writer: KernelWriter, wanted: Dataplane): Promise<void> {
  expect(writer.hasLeftovers).toBe(false);
  expect(await writerOf(kernel).resync(wanted)).toMatchObject({ writes: 0, differenceCount: 0, refused: [] });
}

test('a change only puts rules in; the old ones and the chain that is gone go when it is calm', async () => {
  const { kernel, writer } = await setUp(state('a', 'b'));
  await writer.update(changeOf(['a', 'b'], ['b', 'c']), state('b', 'c'), leaving);
  expect(verbs(kernel)).toEqual([':cali-pi-c -A cali-pi-c -I cali-tw-a']);
  const jumps = ['b', 'c'].map((of) => `--jump cali-pi-${of}`);
  expect(rulesOf(kernel, 'cali-tw-a').map((rule) => rule.replace('-j ', '--jump '))).toEqual([
    ...jumps,
    '--jump RETURN',
    '--jump cali-pi-a',
    '--jump cali-pi-b',
  ]);
  expect(writer.hasLeftovers).toBe(true);
  expect(await writer.tidy(state('b', 'c'), true)).toMatchObject({ chainsRemoved: 1, refused: [] });
  expect(verbs(kernel)).toEqual(['-D cali-tw-a', ':cali-pi-a -X cali-pi-a']);
  await expectClean(kernel, writer, state('b', 'c'));
});

test('one chain that changes three times has one RETURN above each of its pasts, and loses all at once', async () => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  await writer.update(changeOf(['b'], ['c']), state('c'), leaving);
  await writer.update(changeOf(['c'], ['c', 'd']), state('c', 'd'), leaving);
  expect(kernel.table('ip', 'filter').chain('cali-tw-a')).toHaveLength(2 + 1 + 1 + 1 + 1 + 1 + 1);
  verbs(kernel);
  await writer.tidy(state('c', 'd'), true);
  expect(rulesOf(kernel, 'cali-tw-a')).toHaveLength(2);
  await expectClean(kernel, writer, state('c', 'd'));
});

test('a chain that is wanted again stays, whole, and is not written again', async () => {
  const { kernel, writer } = await setUp(state('a', 'b'));
  await writer.update(changeOf(['a', 'b'], ['a']), state('a'), leaving);
  await writer.update(changeOf(['a'], ['a', 'b']), state('a', 'b'), leaving);
  expect(verbs(kernel)).toEqual(['-I cali-tw-a', '-I cali-tw-a']);
  await writer.tidy(state('a', 'b'), true);
  await expectClean(kernel, writer, state('a', 'b'));
});

test('where somebody may have touched our rules, no rule is taken away by its number', async () => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  const table = kernel.table('ip', 'filter');
  table.setChain('cali-tw-a', ['-j ACCEPT', ...(table.chain('cali-tw-a') ?? [])]);
  verbs(kernel);
  await writer.tidy(state('b'), false);
  expect(verbs(kernel)).toEqual([':cali-tw-a -A cali-tw-a', ':cali-pi-a -X cali-pi-a']);
  await expectClean(kernel, writer, state('b'));
});

test('a rule of somebody else in between: the deletion is refused or wrong, and the next compare mends it', async () => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  const table = kernel.table('ip', 'filter');
  table.setChain('cali-tw-a', (table.chain('cali-tw-a') ?? []).slice(0, -1));
  await writer.tidy(state('b'), true);
  await writer.resync(state('b'));
  while (writer.hasLeftovers) await writer.tidy(state('b'), true);
  await expectClean(kernel, writer, state('b'));
});

test.each([
  ['a compare of everything', (writer: KernelWriter) => writer.resync(state('b'))],
  ['a look', (writer: KernelWriter) => writer.checkDrift(state('b'))],
])('what is left behind is no drift: after %s it is there as before', async (_, look) => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  const before = kernel.table('ip', 'filter').save();
  expect(await look(writer)).toMatchObject({ differenceCount: 0, writes: 0 });
  expect(kernel.table('ip', 'filter').save()).toBe(before);
  await writer.tidy(state('b'), true);
  await expectClean(kernel, writer, state('b'));
});

test.each<readonly [string, (rules: readonly string[]) => readonly string[]]>([
  ['above all', (rules) => ['-j ACCEPT', ...rules]],
  ['above what returns', (rules) => rules.toSpliced(1, 0, '-j ACCEPT')],
  ['in the place of what returns', (rules) => rules.toSpliced(1, 1, '-j ACCEPT')],
  ['in the place of a rule of ours', (rules) => rules.toSpliced(0, 1, '-j ACCEPT')],
  ['below', (rules) => [...rules, '-j ACCEPT']],
])('somebody’s rule %s in a chain with old rules: the compare mends it and tells it', async (_, disturb) => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  const table = kernel.table('ip', 'filter');
  table.setChain('cali-tw-a', [...disturb(table.chain('cali-tw-a') ?? [])]);
  const report = await writer.resync(state('b'));
  expect(report.differences.map(({ place }) => place)).toEqual([expect.stringContaining('cali-tw-a')]);
  expect(rulesOf(kernel, 'cali-tw-a')).toHaveLength(1);
  await writer.tidy(state('b'), true);
  await expectClean(kernel, writer, state('b'));
});

test('a compare in parts finds nothing, whatever is left behind between two parts', async () => {
  const { kernel, writer } = await setUp(state('a'));
  let [present, isLast] = ['a', false];
  for (const next of ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) {
    await writer.update(changeOf([present], [next]), state(next), leaving);
    present = next;
    const part = await writer.inspectNext(state(next));
    expect(part.scope).toEqual({ tables: [], ipSets: false });
    isLast ||= part.isLast;
  }
  expect(isLast).toBe(true);
  await writer.tidy(state(present), true);
  await expectClean(kernel, writer, state(present));
});

test('sets go a call later than the rules that referred to them, which the kernel has let go of by then', async () => {
  const old = setOf('s:old', ['10.0.0.1']);
  const user = chainOf('cali-pi-a', ruleOf({ kind: 'accept' }, inSet(old.name)));
  const { kernel, writer } = await setUp(dataplaneOf({ sets: [old], chains: { filter: [user] } }));
  const change: DataplaneDelta = {
    ipSets: [{ kind: 'remove', name: old.name, family: 'ipv4' }],
    chains: [{ family: 'ipv4', table: 'filter', name: user.name }],
    hooks: [],
  };
  const after = dataplaneOf({});
  await writer.update(change, after, leaving);
  expect(verbs(kernel)).toEqual([]);
  await writer.tidy(after, true);
  expect(verbs(kernel)).toEqual([':cali-pi-a -X cali-pi-a']);
  expect(writer.hasLeftovers).toBe(true);
  await writer.tidy(after, true);
  expect(verbs(kernel)).toEqual([`destroy ${old.name}`]);
  await expectClean(kernel, writer, after);
});

test('a set that was left behind comes back with other members, or another type', async () => {
  const few = setOf('s:a', ['10.0.0.1']);
  const other = setOf('s:a', ['10.0.0.2']);
  const ports: IpSet = { ...other, type: 'hash:ip,port', members: new Set(['10.0.0.3,tcp:80']) };
  const user = (...of: readonly IpSet[]): Chain =>
    chainOf('cali-pi-a', ...of.map(({ name }) => ruleOf({ kind: 'accept' }, inSet(name))));
  const stateOf = (...of: readonly IpSet[]): Dataplane => dataplaneOf({ sets: of, chains: { filter: [user(...of)] } });
  const written = (...of: readonly IpSet[]) => [
    { family: 'ipv4', table: 'filter', name: user().name, chain: user(...of) } as const,
  ];
  const { kernel, writer } = await setUp(stateOf(few));
  const gone: DataplaneDelta = {
    ipSets: [{ kind: 'remove', name: few.name, family: 'ipv4' }],
    chains: written(),
    hooks: [],
  };
  const back = (set: IpSet): DataplaneDelta => ({ ipSets: [{ kind: 'create', set }], chains: written(set), hooks: [] });
  for (const set of [other, ports]) {
    await writer.update(gone, stateOf(), leaving);
    expect((await writer.update(back(set), stateOf(set), leaving)).refused).toEqual([]);
    expect([...(kernel.sets.get(set.name)?.members ?? [])]).toEqual([...set.members]);
  }
  while (writer.hasLeftovers) await writer.tidy(stateOf(ports), true);
  await expectClean(kernel, writer, stateOf(ports));
});

test('so much is not left behind that the kernel walks through it at every change', async () => {
  const { kernel, writer } = await setUp(state('0'));
  let most = 0;
  for (let round = 1; round < 1_200; round += 1) {
    await writer.update(changeOf([`${round - 1}`], [`${round}`]), state(`${round}`), leaving);
    most = Math.max(most, kernel.table('ip', 'filter').save().split('\n').length);
  }
  expect(most).toBeLessThan(3_000);
  await writer.tidy(state('1199'), true);
  await expectClean(kernel, writer, state('1199'));
}, 60_000);

test('legacy tables are copied whole at each write: rules are replaced at once, what is gone goes when it is calm', async () => {
  const kernel = new FakeKernel();
  const { writer, backend } = legacyOf(kernel);
  await writer.resync(state('a'));
  const looks = new TableLooks({ backend, now: () => 0 });
  kernel.calls.length = 0;
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  expect(verbs(kernel)).toEqual([':cali-pi-b :cali-tw-a -A cali-pi-b -A cali-tw-a']);
  // The look that legacy tables need takes it for what it is.
  for (let look = 0; look < 3; look += 1) expect(await looks.find(writer.possible(state('b')))).toEqual([]);
  const other = new TableLooks({ backend: backendOf(kernel, 'legacy'), now: () => 0 });
  expect(await other.find(state('b'))).toEqual(['filter']);
  expect(await writer.resync(state('b'))).toMatchObject({ differenceCount: 0, writes: 0 });
  await writer.tidy(state('b'), false);
  expect(verbs(kernel)).toEqual([':cali-pi-a -X cali-pi-a']);
  await expectClean(kernel, writer, state('b'));
});

test('a tidying that fails leaves nothing wrong: all is read and mended', async () => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  kernel.failNext(/restore/);
  await writer.tidy(state('b'), true);
  kernel.clearFailures();
  while (writer.hasLeftovers) await writer.tidy(state('b'), true);
  await expectClean(kernel, writer, state('b'));
});

test('killed with something left behind: the next one finds it and takes it away', async () => {
  const { kernel, writer } = await setUp(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  expect((await writerOf(kernel).resync(state('b'))).differenceCount).toBe(2);
  expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toBeUndefined();
  expect(rulesOf(kernel, 'cali-tw-a')).toHaveLength(1);
});

const letters = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1 });

test('any history of changes, some of them tidied up after: packets meet what is wanted, and in the end nothing else is there', async () => {
  const life = fc.array(fc.tuple(letters, fc.constantFrom('leave', 'sure', 'unsure', 'at once', 'killed')), {
    minLength: 1,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(letters, life, async (first, history) => {
      const { kernel, writer } = await setUp(state(...first));
      let before = first;
      for (const [after, then] of history) {
        const wanted = state(...after);
        if (then === 'killed') kernel.failNext(/restore/);
        const report = await writer.update(changeOf(before, after), wanted, { isLeaving: then !== 'at once' });
        expect(report.refused).toEqual([]);
        kernel.clearFailures();
        if (then === 'sure' || then === 'unsure') await writer.tidy(wanted, then === 'sure');
        before = after;
        const live = renderChain(service(...after)).map((line) => line.slice('-A cali-tw-a '.length));
        const found = kernel.table('ip', 'filter').chain('cali-tw-a') ?? [];
        expect(found.slice(0, live.length)).toEqual(live);
        expect([undefined, '-j RETURN']).toContain(found[live.length]);
      }
      while (writer.hasLeftovers) await writer.tidy(state(...before), true);
      await expectClean(kernel, writer, state(...before));
    }),
    { numRuns: 300 },
  );
}, 120_000);

test('a program that is not there is told, as for any other write', async () => {
  const { kernel } = await setUp(state('a'));
  let isGone = false;
  const backend = new KernelBackend({
    run: async (argv, options) => {
      if (isGone) throw new CommandError({ argv, code: 'ENOENT' });
      return kernel.run(argv, options);
    },
    variant: 'nft',
    families: ['ipv4'],
    ownership: { services: false },
  });
  const writer = new KernelWriter({ backend, retryDelaysMs: [] });
  await writer.resync(state('a'));
  await writer.update(changeOf(['a'], ['b']), state('b'), leaving);
  isGone = true;
  await expect(writer.tidy(state('b'), true)).rejects.toThrow('program not found');
});
