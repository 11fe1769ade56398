/** The session against small programs that answer as iptables-restore does: comments come back, a bad line ends it. */
import { expect, test } from 'vitest';
import type { Argv, Converse } from '../../src/backends/exec.ts';
import { CommandError, converse } from '../../src/backends/exec.ts';
import { RestoreSession } from '../../src/backends/iptables/restore-session.ts';

const argv: Argv = ['iptables-nft-restore', '--noflush'];
/** Repeats comments, ends at a line with BAD. */
const goodRestore: Argv = ['sed', '-un', '-e', '/BAD/q4', '-e', '/^#/p'];

/** Starts `program` in the place of what is asked for. */
function instead(program: Argv): { readonly converse: Converse; readonly started: Argv[]; readonly pids: number[] } {
  const started: Argv[] = [];
  const pids: number[] = [];
  return {
    started,
    pids,
    converse: (asked, onLine) => {
      started.push(asked);
      const conversation = converse(program, onLine);
      pids.push(conversation.pid);
      return conversation;
    },
  };
}

test('many transactions, one process', async () => {
  const fake = instead(goodRestore);
  const transactions: number[] = [];
  const session = new RestoreSession({
    converse: fake.converse,
    argv,
    onTransaction: ({ pid }) => void transactions.push(pid),
  });
  for (let round = 0; round < 5; round++) expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
  expect(fake.started).toEqual([['stdbuf', '-oL', ...argv, '--verbose']]);
  expect(transactions).toEqual(Array.from({ length: 5 }, () => fake.pids[0]));
});

test('a refused transaction is not known to be done, and the next one has a new process', async () => {
  const fake = instead(goodRestore);
  const session = new RestoreSession({ converse: fake.converse, argv });
  expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
  expect(await session.commit('*filter\n-A BAD\nCOMMIT\n')).toBe('unknown');
  expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
  expect(fake.started).toHaveLength(2);
});

test('what else the program says is no answer: it tells what it does before it is refused', async () => {
  const fake = instead(['sed', '-u', '-e', '/BAD/q4']);
  const session = new RestoreSession({ converse: fake.converse, argv });
  expect(await session.commit('*filter\n-A BAD\nCOMMIT\n')).toBe('unknown');
  expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
});

test('a process that was killed between two transactions is replaced', async () => {
  const fake = instead(goodRestore);
  const session = new RestoreSession({ converse: fake.converse, argv });
  expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
  const [pid] = fake.pids;
  if (pid === undefined) throw new Error('nothing was started');
  process.kill(pid, 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await session.commit('*filter\nCOMMIT\n')).toBe('done');
  expect(fake.started).toHaveLength(2);
});

test('no answer in time: the process is gone before anybody may try again', async () => {
  const fake = instead(['sed', '-un', '-e', '/COMMIT/q0', '-e', '/^#/p']);
  const silent = instead(['sed', '-un', '-e', '/COMMIT/,$d', '-e', '/^#/p']);
  for (const { converse: start, pids } of [fake, silent]) {
    const session = new RestoreSession({ converse: start, argv, timeoutMs: 200 });
    expect(await session.commit('*filter\nCOMMIT\n')).toBe('unknown');
    expect(() => process.kill(pids[0] ?? 0, 0)).toThrow('ESRCH');
  }
});

test('a program that repeats no comments, or is not there, is not tried for every transaction', async () => {
  const missing: Converse = () => {
    throw new CommandError({ argv: ['stdbuf'], code: 'ENOENT' });
  };
  const mute = instead(['sleep', '30']);
  for (const start of [missing, mute.converse]) {
    const session = new RestoreSession({ converse: start, argv, startTimeoutMs: 100 });
    expect(await session.commit('*filter\nCOMMIT\n')).toBe('untried');
    expect(await session.commit('*filter\nCOMMIT\n')).toBe('untried');
  }
  expect(mute.started).toHaveLength(1);
});
