/** ipset, and what it says when it fails: whose fault it is decides what is closed, kept or tried again. */
import { describe, expect, test } from 'vitest';
import { RefusedError } from '../../src/backends/backend.ts';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { IpSets } from '../../src/backends/ipset/ip-sets.ts';
import type { SetWrite } from '../../src/dataplane/kernel-write.ts';
import { setOf } from '../fakes/dataplanes.ts';
import { FakeSets } from '../fakes/sets.ts';

const set = setOf('s:a', ['10.0.0.1']);
const fail = (argv: Parameters<Run>[0], stderr: string): never => {
  throw new CommandError({ argv, exitCode: 1, stderr });
};

/** ipset as it is, but for calls that `before` fails. */
function ipSets(
  kernel: FakeSets,
  before: (argv: string, input: string) => string | undefined = () => undefined,
): IpSets {
  return new IpSets({
    run: async (argv, { input = '' } = {}) => {
      await Promise.resolve();
      const problem = before(argv.join(' '), input);
      return {
        stdout: problem === undefined ? kernel.run(argv, input) : fail(argv, problem),
        stderr: '',
        durationMs: 1,
      };
    },
  });
}

function filled(isInUse: (name: string) => boolean = () => false): FakeSets {
  const kernel = new FakeSets(isInUse);
  for (const name of ['cali40s:a', 'cali40s:b', 'cali40s:c']) {
    kernel.run(['ipset', 'restore'], `create ${name} hash:net family inet maxelem 2\nadd ${name} 10.0.0.1\n`);
  }
  return kernel;
}

const write = (change: Partial<SetWrite>) =>
  ({ kind: 'write-sets', sets: [{ set, create: false, add: [], remove: [], ...change }] }) as const;

describe('sets to destroy', () => {
  test('go but for those in use, wherever they stand, and each of these is told', async () => {
    const kernel = filled((name) => name === 'cali40s:b');
    const names = ['cali40s:a', 'cali40s:b', 'cali40s:c'];
    expect(await ipSets(kernel).apply({ kind: 'destroy-sets', names })).toEqual({ kept: ['cali40s:b'] });
    expect(kernel.names).toEqual(['cali40s:b']);
    expect(await ipSets(filled(() => true)).apply({ kind: 'destroy-sets', names })).toEqual({ kept: names });
    expect(await ipSets(filled()).apply({ kind: 'destroy-sets', names: [] })).toEqual({ kept: [] });
  });

  test('that a program could not even try are an error', async () => {
    const sets = ipSets(filled(), (_, input) => (input.startsWith('destroy') ? 'Killed' : undefined));
    await expect(sets.apply({ kind: 'destroy-sets', names: ['cali40s:a'] })).rejects.toBeInstanceOf(CommandError);
  });
});

describe('sets to read', () => {
  const noSave = (_: string, input: string) => (input.startsWith('save') ? 'Unknown command: save' : undefined);

  test('are saved one by one where restore does not take `save`', async () => {
    const found = await ipSets(oneByOne(filled()), noSave).read();
    expect([...found].map(([name, { members }]) => [name, [...members]])).toEqual([
      ['cali40s:a', ['10.0.0.1']],
      ['cali40s:b', ['10.0.0.1']],
      ['cali40s:c', ['10.0.0.1']],
    ]);
  });

  test('may vanish while they are read; any other failure is one', async () => {
    const vanished = (argv: string, input: string) =>
      noSave(argv, input) ??
      (argv === 'ipset save cali40s:b' ? 'The set with the given name does not exist' : undefined);
    expect([...(await ipSets(oneByOne(filled()), vanished).read()).keys()]).toEqual(['cali40s:a', 'cali40s:c']);
    const broken = (argv: string, input: string) =>
      noSave(argv, input) ?? (argv === 'ipset save cali40s:b' ? 'Kernel error received' : undefined);
    await expect(ipSets(oneByOne(filled()), broken).read()).rejects.toThrow('Kernel error received');
  });

  /** The fake saves by restore alone. */
  function oneByOne(kernel: FakeSets): FakeSets {
    const saving = new FakeSets(() => false);
    saving.run = (argv, input) =>
      argv[1] === 'save' ? kernel.run(['ipset', 'restore'], `save ${argv[2] ?? ''}\n`) : kernel.run(argv, input);
    return saving;
  }

  test('are ours alone: a foreign one is not asked for', async () => {
    const kernel = filled();
    kernel.put('foreign', { type: 'hash:mac', family: 'inet', maxElements: 1, members: new Set() });
    const asked: string[] = [];
    await ipSets(kernel, (argv, input) => void asked.push(argv, input)).read();
    expect(asked.join()).not.toContain('foreign');
  });
});

describe('a list that fails', () => {
  const silent = (error: CommandError): IpSets =>
    new IpSets({
      run: (argv) =>
        argv.includes('-t') ? Promise.reject(error) : Promise.resolve({ stdout: '', stderr: '', durationMs: 1 }),
    });

  test('is answered by what is ours, where there is a foreign set that this ipset does not know', async () => {
    const counts = silent(new CommandError({ argv: ['ipset'], exitCode: 1, stderr: 'incompatible' })).readCounts(
      'cali40s:a',
    );
    expect(await counts).toEqual(new Map());
  });

  test('because there is no ipset is an error', async () => {
    const missing = new CommandError({ argv: ['ipset'], code: 'ENOENT' });
    await expect(silent(missing).readCounts('cali40s:a')).rejects.toBe(missing);
  });
});

describe('what is refused', () => {
  const refusal = async (change: Partial<SetWrite>, stderr?: string) => {
    const sets = ipSets(filled(), (argv) => (argv.includes('restore') ? stderr : undefined));
    const error = await sets.apply(write(change)).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return error instanceof RefusedError
      ? { culprit: error.culprit, member: error.member, message: error.message }
      : error;
  };

  test('is the member that is named, whether it comes or goes', async () => {
    expect(await refusal({ add: ['10.0.0.2', 'fd00::1'] })).toMatchObject({ culprit: set.name, member: 'fd00::1' });
    const stderr = 'ipset v7.17: Error in line 1: Syntax error: cannot parse x: unknown host\n';
    expect(await refusal({ remove: ['x'] }, stderr)).toEqual({
      culprit: set.name,
      member: 'x',
      message: 'Syntax error: cannot parse x: unknown host',
    });
  });

  test('is the set where it is full or gone: the member that met it is not at fault', async () => {
    expect(await refusal({ add: ['10.0.0.2', '10.0.0.3'] })).toMatchObject({ culprit: set.name, member: undefined });
    const gone = 'ipset v7.17: Error in line 1: The set with the given name does not exist\n';
    expect(await refusal({ add: ['10.0.0.2'] }, gone)).toMatchObject({ culprit: set.name, member: undefined });
  });

  test('is found far down, too', async () => {
    const add = Array.from({ length: 12 }, (_, index) => `10.0.1.${index}`);
    const stderr = 'ipset v7.17: Error in line 12: Something about it\n';
    expect(await refusal({ add }, stderr)).toEqual({
      culprit: set.name,
      member: '10.0.1.11',
      message: 'Something about it',
    });
  });

  test('is a set that cannot be made', async () => {
    const stderr = 'ipset v7.17: Error in line 1: Kernel support protocol versions 6-7 while userspace supports 8\n';
    expect(await refusal({ create: true }, stderr)).toMatchObject({ culprit: set.name, member: undefined });
  });

  test('is nothing where no line is named', async () => {
    expect(await refusal({ add: ['10.0.0.2'] }, 'Killed')).toBeInstanceOf(CommandError);
  });
});
