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
