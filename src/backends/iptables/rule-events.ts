/** What `nft monitor` says about rules of ours: who changed which table. Legacy tables and ipsets have no events. */
import { tableNames } from '../../dataplane/dataplane.ts';
import type { Ownership } from '../../dataplane/observed.ts';
import { isBuiltinChain } from '../../dataplane/observed.ts';
import { ownsChain } from '../../dataplane/ownership.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { Run } from '../exec.ts';

/** One committed transaction that touched a chain of ours or a built-in one. */
export interface RuleChange {
  readonly pid: number;
  readonly tables: readonly TableName[];
}

/** Collects lines until the generation that they belong to is told. */
export class RuleEventReader {
  readonly #ownership: Ownership;
  readonly #tables = new Set<TableName>();

  constructor(ownership: Ownership) {
    this.#ownership = ownership;
  }

  /** `line` of `nft monitor`. */
  read(line: string): RuleChange | undefined {
    const [, pid] = /^# new generation \d+ by process (\d+)/.exec(line) ?? [];
    if (pid === undefined) {
      this.#note(line);
      return undefined;
    }
    const tables = [...this.#tables];
    this.#tables.clear();
    return tables.length === 0 ? undefined : { pid: Number(pid), tables };
  }

  /** `insert rule ip filter FORWARD counter ...`, `delete chain ip6 nat cali-a`, `delete table ip filter` */
  #note(line: string): void {
    const [, verb, kind, table = '', chain = ''] = /^(\w+) (table|chain|rule) ip6? (\S+)(?: (\S+))?/.exec(line) ?? [];
    const name = tableNames.find((known) => known === table);
    if (name === undefined) return;
    const isWhole = kind === 'table' && verb !== 'add' && verb !== 'create';
    if (isWhole || isBuiltinChain(chain) || ownsChain(chain, this.#ownership)) this.#tables.add(name);
  }
}

/** An event comes at once; a program that waits for a lock is given up before. Taken for somebody else's, it would cost a compare. */
const rememberedMs = 120_000;

/** Remembers the process ids of our own programs, so that their events are not taken for somebody else's. */
export class OwnProcesses {
  /** To when each was last known to be ours, in monotonic milliseconds. */
  readonly #pids = new Map<number, number>();
  readonly #now: () => number;

  constructor(now = (): number => performance.now()) {
    this.#now = now;
  }

  /** `run`, remembering. */
  remembering(run: Run): Run {
    return (argv, options = {}) => run(argv, { ...options, onStart: (pid) => this.add(pid) });
  }

  has(pid: number): boolean {
    const at = this.#pids.get(pid);
    return at !== undefined && this.#now() - at < rememberedMs;
  }

  /**
   * Ids come round again, soon on a machine that starts many programs, and one of 32,768 may then be that of somebody who changes our
   * rules: only the latest count, and not for long. So a process that stays is added again with each thing that it does.
   */
  add(pid: number): void {
    this.#pids.delete(pid);
    this.#pids.set(pid, this.#now());
    const [oldest] = this.#pids.keys();
    if (this.#pids.size > 256 && oldest !== undefined) this.#pids.delete(oldest);
  }
}
