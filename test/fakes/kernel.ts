/**
 * iptables and ipset without a kernel: a `Run` that keeps tables and sets, and refuses what the kernel refuses: jumps to chains
 * that are not there, sets that are not there or in use, chains in use, members of the wrong family, a full set. A bad batch of
 * rules is undone as a whole, one of sets is not.
 */
import type { Argv, CommandResult, Run, RunOptions } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { FakeSets } from './sets.ts';
import { FakeTable } from './table.ts';

export interface FakeCall {
  readonly argv: Argv;
  readonly input: string;
}

export class FakeKernel {
  readonly sets = new FakeSets((name) => [...this.#tables.values()].some((table) => table.refersToSet(name)));
  /** Every program that was run. */
  readonly calls: FakeCall[] = [];
  /** A rule that the kernel refuses, as netfilter would: by its text. */
  refuses: (rule: string) => boolean = () => false;
  /** How often no set can be destroyed: the kernel lets go of one a moment after its last rule. */
  heldSets = 0;
  /** Told of every program that was started, before it answers. */
  beforeAnswer: (argv: Argv) => Promise<void> | void = () => undefined;
  readonly #tables = new Map<string, FakeTable>();
  readonly #failures: { readonly program: RegExp; readonly error: CommandError }[] = [];

  /** The next call of a program with this name fails before it does anything. */
  failNext(program: RegExp, error = new CommandError({ argv: ['fake'], stderr: 'killed', signal: 'SIGKILL' })): void {
    this.#failures.push({ program, error });
  }

  clearFailures(): void {
    this.#failures.length = 0;
  }

  /** `family`: `ip` or `ip6`. */
  table(family: 'ip' | 'ip6', name: string): FakeTable {
    const key = `${family} ${name}`;
    const table = this.#tables.get(key) ?? new FakeTable(name);
    this.#tables.set(key, table);
    return table;
  }

  /** Calls that changed something. */
  get writes(): readonly FakeCall[] {
    return this.calls.filter(({ argv, input }) => isWrite(argv, input));
  }

  readonly run: Run = async (argv: Argv, options: RunOptions = {}): Promise<CommandResult> => {
    await Promise.resolve();
    this.calls.push({ argv, input: options.input ?? '' });
    await this.beforeAnswer(argv);
    const failure = this.#failures.findIndex(({ program }) => program.test(argv[0]));
    const [failed] = failure < 0 ? [] : this.#failures.splice(failure, 1);
    if (failed !== undefined) throw failed.error;
    if (this.heldSets > 0 && options.input?.startsWith('destroy ') === true) {
      this.heldSets -= 1;
      const stderr = 'ipset v7.17: Error in line 1: Set cannot be destroyed: it is in use by a kernel component';
      throw new CommandError({ argv, exitCode: 1, stderr });
    }
    return { stdout: this.#answer(argv, options.input ?? ''), stderr: '', durationMs: 1 };
  };

  #answer(argv: Argv, input: string): string {
    const [program, ...args] = argv;
    const [, family, verb] = /^(ip6?)tables-(?:nft|legacy)-(save|restore)$/.exec(program) ?? [];
    if (family === 'ip' || family === 'ip6') {
      if (verb === 'save') return this.#save(family, args[1]);
      return this.#restore(argv, family, input);
    }
    const [, listed] = /^(ip6?)tables-(?:nft|legacy)$/.exec(program) ?? [];
    if (listed === 'ip' || listed === 'ip6') return this.#listRules(listed, args);
    if (program === 'ipset') return this.sets.run(argv, input);
    if (program === 'nft') return this.#listChains(args[2]);
    throw new CommandError({ argv, code: 'ENOENT' });
  }

  #save(family: 'ip' | 'ip6', table?: string): string {
    const tables = table === undefined ? ['raw', 'mangle', 'nat', 'filter'] : [table];
    return tables.map((name) => this.table(family, name).save()).join('');
  }

  /** `iptables-nft -t TABLE -S CHAIN` */
  #listRules(family: 'ip' | 'ip6', args: readonly string[]): string {
    return this.table(family, args[args.indexOf('-t') + 1] ?? '').list(args.at(-1) ?? '');
  }

  /** `nft list chains`, of all families or of one */
  #listChains(family?: string): string {
    const lines = [...this.#tables].flatMap(([key, table]) => {
      if (family !== undefined && !key.startsWith(`${family} `)) return [];
      return [`table ${key} {`, ...table.chainNames.flatMap((name) => [`\tchain ${name} {`, '\t}']), '}'];
    });
    return [...lines, ''].join('\n');
  }

  #restore(argv: Argv, family: 'ip' | 'ip6', input: string): string {
    const name = /^\*(\w+)/.exec(input)?.[1];
    if (name === undefined) throw new CommandError({ argv, exitCode: 2, stderr: 'no table' });
    const table = this.table(family, name);
    const failed = table.restore(input, {
      hasSet: (set) => this.sets.has(set, family === 'ip' ? 'inet' : 'inet6'),
      refuses: this.refuses,
    });
    const stdout = table.listed(input);
    if (failed !== undefined) throw new CommandError({ argv, exitCode: 4, stderr: failed, stdout });
    return stdout;
  }
}

function isWrite([program, ...args]: Argv, input: string): boolean {
  if (program === 'ipset') return args.includes('destroy') || (args.includes('restore') && !input.startsWith('save '));
  return program.endsWith('-restore') && !/^-S /m.test(input);
}
