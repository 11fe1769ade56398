/** The look at sets by the ipset that stays: nothing is started for it, and it is not taken for a write. */
import { beforeEach, expect, test } from 'vitest';
import type { Argv, Converse, ProcessExit, Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { IpSets } from '../../src/backends/ipset/ip-sets.ts';
import type { StandingProcess } from '../../src/backends/standing-program.ts';
import { setOf } from '../fakes/dataplanes.ts';
import { FakeSets } from '../fakes/sets.ts';

const [a, b] = [setOf('s:a', ['10.0.0.1', '10.0.0.2']), setOf('s:b', ['10.0.0.3'])];

let kernel: FakeSets;
/** Processes of their own, and those that stay. */
let started: Argv[];
let transactions: StandingProcess[];

beforeEach(() => {
  kernel = new FakeSets(() => false);
  started = [];
  transactions = [];
});

const run: Run = async (argv, { input = '' } = {}) => {
  await Promise.resolve();
  started.push(argv);
  return { stdout: kernel.run(argv, input), stderr: '', durationMs: 1 };
};

/** `ipset restore`: line by line, to its end at the first one that fails. */
const converse: Converse = (argv, onLine) => {
  started.push(argv);
  const { promise: exited, resolve } = Promise.withResolvers<ProcessExit>();
  const answer = (line: string): void => {
    for (const said of answerTo(line).split('\n')) onLine(said);
  };
  const write = (text: string): void => {
    try {
      for (const line of text.trimEnd().split('\n')) answer(line);
    } catch {
      resolve({ exitCode: 1 });
    }
  };
  return { pid: 1, exited, write, kill: () => resolve({ signal: 'SIGKILL' }) };
};

function answerTo(line: string): string {
  const [verb, flag, name] = line.split(' ');
  if (verb !== 'list') return kernel.run(['ipset', 'restore'], `${line}\n`);
  const all = kernel.run(['ipset', 'list', '-t'], '');
  if (flag !== '-t') throw new Error('from then on it would list names alone');
  if (name === undefined) return all;
  const one = all.split(/^(?=Name: )/m).find((text) => text.startsWith(`Name: ${name}\n`));
  if (one === undefined) throw new CommandError({ argv: ['ipset'], exitCode: 1, stderr: 'does not exist' });
  return one.trimEnd();
}

function ipSets(): IpSets {
  return new IpSets({ run, converse, onTransaction: (process) => void transactions.push(process) });
}

async function filled(): Promise<IpSets> {
  const sets = ipSets();
  for (const set of [a, b]) {
    await sets.apply({ kind: 'write-sets', sets: [{ set, create: true, add: [...set.members], remove: [] }] });
  }
  return sets;
}

test('writes and looks, one process; a look is no write', async () => {
  const sets = await filled();
  for (let look = 0; look < 3; look += 1) {
    expect([...(await sets.readCounts(a.name))]).toEqual([
      [a.name, 2],
      [b.name, 1],
    ]);
  }
  expect(started).toEqual([['stdbuf', '-oL', 'ipset', '-exist', 'restore']]);
  expect(transactions).toHaveLength(2);
});

test('what others do is seen: a member, all members, a set that is gone, also the one that is asked for', async () => {
  const sets = await filled();
  await sets.readCounts(a.name);
  kernel.get(b.name)?.members.add('10.0.0.9');
  expect((await sets.readCounts(a.name)).get(b.name)).toBe(2);
  kernel.get(a.name)?.members.clear();
  expect((await sets.readCounts(a.name)).get(a.name)).toBe(0);
  kernel.run(['ipset', 'destroy', a.name], '');
  expect([...(await sets.readCounts(a.name)).keys()]).toEqual([b.name]);
  expect(started.at(-1)).toEqual(['ipset', 'list', '-t']);
  expect([...(await sets.readCounts(b.name)).keys()]).toEqual([b.name]);
});

test('a look and a write at once come one after the other', async () => {
  const sets = await filled();
  const write = sets.apply({ kind: 'write-sets', sets: [{ set: b, create: false, add: ['10.0.0.4'], remove: [] }] });
  const [, counts] = await Promise.all([write, sets.readCounts(a.name)]);
  expect(counts.get(b.name)).toBe(2);
  expect(started).toHaveLength(1);
});

test('a foreign set that breaks the list of all is found out once', async () => {
  let lists = 0;
  const sets = new IpSets({
    converse: () => {
      throw new CommandError({ argv: ['stdbuf'], code: 'ENOENT' });
    },
    run: async (argv, options) => {
      if (argv.join(' ') !== 'ipset list -t') return run(argv, options);
      lists += 1;
      throw new CommandError({ argv, exitCode: 1, stderr: 'Kernel and userspace incompatible' });
    },
  });
  kernel.run(['ipset', 'restore'], `create ${a.name} hash:net family inet maxelem 64\nadd ${a.name} 10.0.0.1\n`);
  for (let look = 0; look < 3; look += 1) expect((await sets.readCounts(a.name)).get(a.name)).toBe(1);
  expect(lists).toBe(1);
});
