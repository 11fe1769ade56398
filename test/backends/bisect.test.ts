/** How the part of a batch that the kernel refuses is found: by the line that the error names, or by halves where it names the frame alone. */
import { expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, ruleOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const chains = Array.from({ length: 64 }, (_, index) =>
  chainOf(`cali-pi-${String(index).padStart(2, '0')}`, {
    ...ruleOf({ kind: 'drop' }),
    comments: [index % 40 === 7 ? 'bad' : 'good'],
  }),
);
const wanted = dataplaneOf({ chains: { filter: chains } });

/** A kernel that refuses two of the 64; legacy iptables names the line of COMMIT for whatever the kernel itself refuses. */
async function refusedBy(isFrameNamed: boolean) {
  const kernel = new FakeKernel();
  kernel.refuses = (rule) => rule.includes('"bad"');
  let restores = 0;
  const run: Run = async (argv, options) => {
    if (argv[0].endsWith('-restore')) restores += 1;
    try {
      return await kernel.run(argv, options);
    } catch (error) {
      if (!isFrameNamed || !(error instanceof CommandError) || options?.input === undefined) throw error;
      const line = options.input.split('\n').indexOf('COMMIT') + 1;
      throw new CommandError({ argv, exitCode: 1, stderr: `iptables-restore: line ${line} failed\n` });
    }
  };
  const backend = new KernelBackend({ run, variant: 'nft', families: ['ipv4'], ownership: { services: false } });
  const { refused } = await new KernelWriter({ backend, retryDelaysMs: [] }).resync(wanted);
  const names = refused.map((refusal) => (refusal.kind === 'chain' ? refusal.chain.name : refusal.kind));
  return {
    names,
    restores,
    inKernel: kernel
      .table('ip', 'filter')
      .save()
      .match(/"good"/g)?.length,
  };
}

test('the line that is named is trusted: a few restores for each bad chain', async () => {
  const { names, restores, inKernel } = await refusedBy(false);
  expect(names).toEqual(['cali-pi-07', 'cali-pi-47']);
  expect(inKernel).toBe(62);
  expect(restores).toBeLessThanOrEqual(9);
});

test('where only the frame is named, whole chains are halved', async () => {
  const { names, restores, inKernel } = await refusedBy(true);
  expect(names).toEqual(['cali-pi-07', 'cali-pi-47']);
  expect(inKernel).toBe(62);
  expect(restores).toBeGreaterThan(9);
  expect(restores).toBeLessThanOrEqual(2 * 2 * 6 + 4);
});
