/** What leads to our chains goes through the program that stays as well; where it ends without an answer nothing is given twice. */
import { expect, test } from 'vitest';
import type { Converse } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { chainOf, dataplaneOf, hookOf } from '../fakes/dataplanes.ts';
import { FakeKernel } from '../fakes/kernel.ts';

const hooked = dataplaneOf({
  chains: { filter: [chainOf('cali-FORWARD')] },
  hooks: [hookOf('FORWARD', 'cali-FORWARD')],
});

const isAboutHooks = (text: string): boolean => /^-[AI] FORWARD /m.test(text);

type End = 'answers' | 'dies before' | 'dies after';

/** An iptables-restore that stays, over a fake kernel. `endAt`: of a text with hooks, when it dies. */
class StandingRestore {
  readonly kernel = new FakeKernel();
  readonly texts: string[] = [];
  ends: End[] = [];

  readonly converse: Converse = (argv, onLine) => {
    if (argv.includes('ipset')) throw new CommandError({ argv, code: 'ENOENT' });
    const { promise: exited, resolve } = Promise.withResolvers<{ exitCode: number }>();
    const take = async (text: string): Promise<void> => {
      const mark = text.trimEnd().split('\n').at(-1) ?? '';
      if (!text.includes('COMMIT')) return onLine(mark);
      this.texts.push(text);
      const end = isAboutHooks(text) ? (this.ends.shift() ?? 'answers') : 'answers';
      if (end !== 'dies before') await this.kernel.run(['iptables-nft-restore', '--noflush'], { input: text });
      if (end === 'answers') onLine(mark);
      else resolve({ exitCode: 4 });
    };
    return { pid: 1, exited, write: (text) => void take(text), kill: () => resolve({ exitCode: 137 }) };
  };

  writer(converse = this.converse): KernelWriter {
    const ownership = { services: false };
    const { run } = this.kernel;
    const backend = new KernelBackend({ run, variant: 'nft', families: ['ipv4'], ownership, converse });
    return new KernelWriter({ backend, retryDelaysMs: [0, 0] });
  }

  get hooks(): readonly string[] {
    return this.kernel.table('ip', 'filter').chain('FORWARD') ?? [];
  }

  get restores(): number {
    return this.kernel.calls.filter(({ argv }) => argv[0] === 'iptables-nft-restore').length;
  }
}

test('no process of its own for hooks', async () => {
  const restore = new StandingRestore();
  await restore.writer().resync(hooked);
  expect(restore.hooks).toHaveLength(1);
  expect(restore.texts.some((text) => isAboutHooks(text))).toBe(true);
});

test.each(['dies before', 'dies after'] as const)(
  'the program %s it has said that hooks are in: they stand there once',
  async (end) => {
    const restore = new StandingRestore();
    restore.ends = [end];
    const report = await restore.writer().resync(hooked);
    expect(restore.hooks).toHaveLength(1);
    expect(report.refused).toEqual([]);
  },
);

test('after such a death hooks go to a process of their own, which would say what is wrong with them, and then no longer', async () => {
  const restore = new StandingRestore();
  restore.ends = ['dies before', 'dies before'];
  const writer = restore.writer();
  await writer.resync(hooked);
  expect(restore.ends).toEqual(['dies before']);
  expect(restore.hooks).toHaveLength(1);
  restore.kernel.table('ip', 'filter').setChain('FORWARD', []);
  restore.ends = [];
  const before = restore.restores;
  await writer.resync(hooked);
  expect(restore.hooks).toHaveLength(1);
  expect(restore.texts.filter((text) => isAboutHooks(text))).toHaveLength(2);
  expect(restore.restores).toBe(before + 1);
});

test('where no program can stay, hooks go to a process of their own at once', async () => {
  const restore = new StandingRestore();
  const writer = restore.writer((argv) => {
    throw new CommandError({ argv, code: 'ENOENT' });
  });
  expect((await writer.resync(hooked)).differenceCount).toBeGreaterThan(0);
  expect(restore.hooks).toHaveLength(1);
  expect(restore.kernel.calls.filter(({ argv }) => argv.join(' ').includes('-save'))).toHaveLength(1);
});
