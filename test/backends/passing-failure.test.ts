/** A machine that is short of memory for a moment is no fault of the object at hand. */
import { expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

test('a member that ipset had no memory for is not refused but tried again', async () => {
  const kernel = new FakeKernel();
  let failures = 1;
  const run: Run = async (argv, options) => {
    if (options?.input?.startsWith('create') === true && failures-- > 0) {
      const stderr = 'ipset v7.17: Error in line 2: Kernel error received: Cannot allocate memory\n';
      throw new CommandError({ argv, exitCode: 1, stderr });
    }
    return kernel.run(argv, options);
  };
  const backend = new KernelBackend({ run, variant: 'nft', ownership: { services: false } });
  const writer = new KernelWriter({ backend, retryDelaysMs: [1] });
  const { refused } = await writer.resync(dataplaneOf({ sets: [setOf('s:a', ['10.0.0.1', '10.0.0.2'])] }));
  expect(refused).toEqual([]);
  expect([...(kernel.sets.get('cali40s:a')?.members ?? [])]).toEqual(['10.0.0.1', '10.0.0.2']);
});

test.each(['Cannot allocate memory', 'Resource temporarily unavailable', 'Interrupted system call'])(
  'a rule that the kernel could not take for a moment (%s) is not refused but tried again',
  async (reason) => {
    const kernel = new FakeKernel();
    let failures = 1;
    const run: Run = async (argv, options) => {
      if (argv[0] === 'iptables-nft-restore' && failures-- > 0) {
        const stderr = `iptables-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (${reason}): rule in chain cali-a\n`;
        throw new CommandError({ argv, exitCode: 4, stderr });
      }
      return kernel.run(argv, options);
    };
    const backend = new KernelBackend({ run, variant: 'nft', ownership: { services: false } });
    const writer = new KernelWriter({ backend, retryDelaysMs: [1] });
    const wanted = dataplaneOf({ chains: { filter: [chainOf('cali-a', ruleOf({ kind: 'drop' }))] } });
    expect((await writer.resync(wanted)).refused).toEqual([]);
    expect((await writer.resync(wanted)).writes).toBe(0);
  },
);

test('what is waited for is told at once, not when nothing is tried any more', async () => {
  const kernel = new FakeKernel();
  const stderr = 'Another app is currently holding the xtables lock. Perhaps you want to use the -w option?\n';
  const told: string[] = [];
  const lock = new CommandError({ argv: ['iptables-legacy-restore'], exitCode: 4, stderr });
  const backend = new KernelBackend({ run: kernel.run, variant: 'legacy', ownership: { services: false } });
  const writer = new KernelWriter({
    backend,
    retryDelaysMs: [1, 1],
    onFailedTry: (error) => void told.push(error.isLockContention ? 'the lock' : error.message),
  });
  const wanted = dataplaneOf({ chains: { filter: [chainOf('cali-a', ruleOf({ kind: 'drop' }))] } });
  kernel.failNext(/^iptables-legacy-restore$/, lock);
  kernel.failNext(/^iptables-legacy-restore$/, lock);
  expect(await writer.resync(wanted)).toMatchObject({ refused: [], chainsWritten: 1 });
  expect(told).toEqual(['the lock', 'the lock']);
  const [chain] = dataplaneOf({
    chains: { filter: [chainOf('cali-b', ruleOf({ kind: 'drop' }))] },
  }).tables.ipv4.chains.filter.values();
  if (chain === undefined) throw new Error('there is a chain');
  const after = dataplaneOf({ chains: { filter: [...wanted.tables.ipv4.chains.filter.values(), chain] } });
  kernel.failNext(/^iptables-legacy-restore$/, lock);
  await writer.update(
    { ipSets: [], chains: [{ family: 'ipv4', table: 'filter', name: chain.name, chain }], hooks: [] },
    after,
  );
  expect(told).toHaveLength(3);
});
