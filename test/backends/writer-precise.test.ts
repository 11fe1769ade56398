/** What the writer reads again, tries again and remembers: decisions that survived when they were changed one by one. */
import { describe, expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const drop = ruleOf({ kind: 'drop' });
const friends = setOf('s:friends', ['10.0.0.1']);
const user = (...more: Chain['rules']): Chain =>
  chainOf('cali-pi-a', ruleOf({ kind: 'accept' }, inSet(friends.name)), ...more);
const stateOf = (...chains: readonly Chain[]): Dataplane =>
  dataplaneOf({ sets: [friends], chains: { filter: chains } });
const changeTo = (chain: Chain) =>
  ({ ipSets: [], chains: [{ family: 'ipv4', table: 'filter', name: chain.name, chain }], hooks: [] }) as const;

function setUp(before: (argv: string) => Error | undefined = () => undefined) {
  const kernel = new FakeKernel();
  const run: Run = (argv, options) => {
    const error = before(argv.join(' '));
    return error === undefined ? kernel.run(argv, options) : Promise.reject(error);
  };
  const backend = new KernelBackend({ run, variant: 'nft', ownership: { services: false } });
  return { kernel, writer: new KernelWriter({ backend, retryDelaysMs: [0, 0], letGoDelaysMs: [] }) };
}

describe('a change that fails', () => {
  test('because somebody destroyed a set is no refusal: the sets are read, too, and all is mended', async () => {
    const { kernel, writer } = setUp();
    await writer.resync(stateOf(chainOf('cali-pi-a')));
    kernel.sets.run(['ipset', 'destroy', friends.name], '');
    const report = await writer.update(changeTo(user()), stateOf(user()));
    expect(report.refused).toEqual([]);
    expect(kernel.sets.get(friends.name)?.members).toEqual(friends.members);
    expect(kernel.table('ip', 'filter').chain('cali-pi-a')).toHaveLength(1);
  });

  test.each([
    ['a mistake of ours', new TypeError('not a function')],
    ['a program that is not there', new CommandError({ argv: ['iptables-nft-save'], code: 'ENOENT' })],
  ])('by %s is told at once, not tried again', async (_, error) => {
    let calls = 0;
    const { writer } = setUp((argv) => {
      if (!argv.startsWith('iptables-nft-save')) return undefined;
      calls += 1;
      return error;
    });
    await expect(writer.resync(stateOf())).rejects.toBe(error);
    expect(calls).toBe(1);
  });

  test('by a mistake of ours is not taken for the kernel’s: nothing is read', async () => {
    let isBroken = false;
    const mistake = new TypeError('not a function');
    const asked: string[] = [];
    const { writer } = setUp((argv) => {
      asked.push(argv);
      return isBroken && argv.includes('restore') ? mistake : undefined;
    });
    await writer.resync(stateOf(user()));
    isBroken = true;
    asked.length = 0;
    await expect(writer.update(changeTo(user(drop)), stateOf(user(drop)))).rejects.toBe(mistake);
    expect(asked.filter((argv) => argv.includes('save'))).toEqual([]);
  });
});

describe('a common chain that the kernel refused', () => {
  const good = chainOf('cali-FORWARD', drop);
  const bad = chainOf('cali-FORWARD', ruleOf({ kind: 'reject' }));

  test('is not believed to be there: the same text, given again when the kernel has learnt, is written', async () => {
    const { kernel, writer } = setUp();
    await writer.resync(stateOf(good));
    kernel.refuses = (rule) => rule.includes('REJECT');
    expect((await writer.resync(stateOf(bad))).refused).toMatchObject([{ chain: bad, instead: 'kept' }]);
    kernel.refuses = () => false;
    expect(await writer.update(changeTo(bad), stateOf(bad))).toMatchObject({ writes: 1, refused: [] });
    expect(kernel.table('ip', 'filter').chain('cali-FORWARD')).toMatchObject([expect.stringContaining('REJECT')]);
  });

  test('is forgotten by cleanup', async () => {
    const { kernel, writer } = setUp();
    kernel.refuses = (rule) => rule.includes('REJECT');
    expect((await writer.resync(stateOf(bad))).refused).toHaveLength(1);
    expect((await writer.cleanup()).refused).toEqual([]);
  });
});

test('a report counts what was written and what went: chains, sets, and not those that stay', async () => {
  const { kernel, writer } = setUp();
  const full = { chainsWritten: 2, chainsRemoved: 0, setsWritten: 1 };
  expect(await writer.resync(stateOf(user(), chainOf('cali-b')))).toMatchObject({ writes: 2, ...full });
  const grown = setOf(
    's:friends',
    Array.from({ length: 65_537 }, (_, index) => `10.1.${index >> 8}.${index & 255}`),
  );
  const larger = dataplaneOf({ sets: [grown], chains: { filter: [user()] } });
  // What leaves the set leaves first; then it is exchanged.
  expect(await writer.resync(larger)).toMatchObject({ chainsWritten: 0, chainsRemoved: 1, setsWritten: 2 });
  kernel.heldSets = 1;
  expect(await writer.resync(dataplaneOf({}))).toMatchObject({ chainsRemoved: 1, setsWritten: 0 });
  expect(await writer.resync(dataplaneOf({}))).toMatchObject({ chainsRemoved: 0, setsWritten: 1 });
});

test('a look that finds nothing writes nothing and reads no table', async () => {
  const asked: string[] = [];
  const { writer } = setUp((argv) => void asked.push(argv));
  await writer.resync(stateOf(user()));
  asked.length = 0;
  expect(await writer.checkDrift(stateOf(user()))).toMatchObject({ writes: 0, differenceCount: 0 });
  expect(asked.filter((argv) => argv.includes('-save'))).toEqual([]);
});
