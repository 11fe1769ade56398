/** iptables-restore and iptables-save of one variant, for both families. */
import type { Dataplane } from '../../dataplane/dataplane.ts';
import { ipFamilies, tableNames } from '../../dataplane/dataplane.ts';
import type { ObservedHook, ObservedPart, ObservedTable, Ownership } from '../../dataplane/observed.ts';
import { parseSave, textOfOurs } from '../../dataplane/observed.ts';
import type { TableWrite } from '../../dataplane/restore-input.ts';
import { tableInput } from '../../dataplane/restore-input.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { Section } from '../../dataplane/section.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { HookPlace } from '../backend.ts';
import { RefusedError } from '../backend.ts';
import type { Argv, Converse, Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import type { StandingProcess } from '../standing-program.ts';
import type { TablePlace, TableView } from '../table-view.ts';
import { chainNames, largeTableChains, namesAlone } from './large-table.ts';
import { readSections, sectionChains } from './read-sections.ts';
import { refusalOf } from './restore-error.ts';
import { RestoreSession } from './restore-session.ts';
import { fingerprintOf, SettledTables } from './settled-tables.ts';
import type { IptablesVariant } from './variant.ts';
import { programName } from './variant.ts';

export interface IptablesOptions {
  readonly run: Run;
  readonly variant: IptablesVariant;
  readonly families?: readonly IpFamily[];
  readonly ownership: Ownership;
  /** Absent: every transaction is a process of its own. The legacy variant gains nothing and has none. */
  readonly converse?: Converse;
  /** More chains than so many in nat: at the start they are written anew instead of being read. */
  readonly largeTable?: number;
  /** How many chains a compare in parts reads at once; a family with fewer is one part. */
  readonly sectionChains?: number;
  /** Told of a process that stays before each of its transactions. */
  readonly onTransaction?: (process: StandingProcess) => void;
}

export class Iptables {
  readonly #run: Run;
  readonly #variant: IptablesVariant;
  readonly #families: readonly IpFamily[];
  readonly #ownership: Ownership;
  readonly #sessions: ReadonlyMap<IpFamily, RestoreSession>;
  readonly #largeTable: number;
  readonly #sectionChains: number;
  readonly #settled = new SettledTables();
  /** Families whose session failed at hooks. */
  readonly #doubted = new Set<IpFamily>();
  #ready: { readonly write: TableWrite; readonly text: string } | undefined;

  constructor(options: IptablesOptions) {
    const { run, variant, families = ipFamilies, ownership } = options;
    this.#run = run;
    this.#variant = variant;
    this.#families = families;
    this.#ownership = ownership;
    this.#largeTable = options.largeTable ?? largeTableChains;
    this.#sectionChains = options.sectionChains ?? sectionChains;
    this.#sessions = new Map(families.flatMap((family) => sessionFor(family, options) ?? []));
  }

  /** `isFirst`: what is there may be an earlier agent's, and of a large table of Services the names are enough. */
  async read(tables: readonly TableName[], isFirst = false): Promise<ObservedPart['tables']> {
    // Legacy tables are read quickly at every size.
    const mayBeLarge = isFirst && tables.includes('nat') && this.#variant === 'nft' && this.#ownership.services;
    const only = this.#families.length === 1 ? this.#families[0] : undefined;
    const namesOf = mayBeLarge ? await chainNames(this.#run, only) : undefined;
    const read = this.#families.map((family) =>
      this.#readFamily(family, tables, { natChains: namesOf?.(family, 'nat') ?? [], isMended: true }),
    );
    return (await Promise.all(read)).flat();
  }

  /** `isMended`: whoever reads mends what he finds, and what is left then is nothing that a look should tell again. */
  async #readFamily(
    family: IpFamily,
    tables: readonly TableName[],
    { natChains = [], isMended = false }: { readonly natChains?: readonly string[]; readonly isMended?: boolean } = {},
  ): Promise<ObservedPart['tables']> {
    const isLarge = natChains.length > this.#largeTable;
    const large = isLarge ? await this.#byName({ family, table: 'nat' }, natChains) : undefined;
    const whole = large === undefined ? tables : tables.filter((table) => table !== 'nat');
    const texts = await this.#save(family, whole);
    return tables.map((table) => {
      const named = table === 'nat' ? large : undefined;
      const text = texts.get(table) ?? '';
      if (isMended && this.#variant === 'legacy') this.#viewOf({ family, table }, text).settle();
      return { family, table, content: named ?? parseSave(text, this.#ownership) };
    });
  }

  #byName(place: TablePlace, names: readonly string[]): Promise<ObservedTable> {
    return namesAlone(names, this.#ownership, (chain) => this.readHooks({ ...place, chain }));
  }

  /** Everything, in bounded parts. */
  async *readSections(wanted: () => Dataplane): AsyncGenerator<Section, void, void> {
    const [run, variant, ownership] = [this.#run, this.#variant, this.#ownership];
    const limit = this.#sectionChains;
    for (const family of this.#families) {
      const readWhole = (tables: readonly TableName[]) => this.#readFamily(family, tables);
      const restore = restoreArgv(family, variant);
      yield* readSections({ family, run, variant, ownership, limit, restore, readWhole }, wanted);
    }
  }

  /** As they are now, beside the writer. */
  async view(tables: readonly TableName[]): Promise<readonly TableView[]> {
    const views = this.#families.map(async (family) => {
      const writes = new Map(tables.map((table) => [table, this.#settled.writesTo({ family, table })]));
      const texts = await this.#save(family, tables);
      return tables.map((table) => this.#viewOf({ family, table }, texts.get(table) ?? '', writes.get(table)));
    });
    return (await Promise.all(views)).flat();
  }

  /** `writes`: of ours, when the text was asked for. */
  #viewOf(place: TablePlace, text: string, writes = this.#settled.writesTo(place)): TableView {
    const ours = textOfOurs(text, this.#ownership);
    const fingerprint = fingerprintOf(ours);
    return {
      ...place,
      size: text.length,
      isSettled: this.#settled.has(place, fingerprint),
      content: () => parseSave(ours, this.#ownership),
      settle: () => this.#settled.add(place, fingerprint, writes),
    };
  }

  /** All tables come from one program: the start of another one costs more than a small table. */
  async #save(family: IpFamily, tables: readonly TableName[]): Promise<ReadonlyMap<string, string>> {
    const program = programName(family, this.#variant, 'save');
    if (tables.length === tableNames.length) return textsOfTables(await saved(this.#run, [program]));
    const texts = tables.map(async (table) => [table, await saved(this.#run, [program, '-t', table])] as const);
    return new Map(await Promise.all(texts));
  }

  /** Only this chain is asked for. */
  async readHooks({ family, table, chain }: HookPlace): Promise<readonly ObservedHook[]> {
    const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${this.#variant}`;
    const { stdout } = await this.#run([program, '--wait', '10', '-t', table, '-S', chain]);
    return parseSave(stdout, this.#ownership).hooks.get(chain) ?? [];
  }

  /** Whether the kernel takes the text, given to the program that stays; undefined: no program can stay. */
  async attempt(family: IpFamily, text: string): Promise<boolean | undefined> {
    const sent = (await this.#sessions.get(family)?.commit(text, { isTrial: true })) ?? 'untried';
    return sent === 'untried' ? undefined : sent === 'done';
  }

  /** Makes the text of the write that comes next, so that the program that stays need not wait for it. */
  prepare(write: TableWrite): void {
    if (this.#sessions.has(write.family)) this.#ready = { write, text: tableInput(write).text };
  }

  #textOf(write: TableWrite): string {
    const ready = this.#ready;
    this.#ready = undefined;
    return ready?.write === write ? ready.text : tableInput(write).text;
  }

  /** One transaction. */
  async apply(write: TableWrite): Promise<void> {
    try {
      await this.#commit(write);
      this.#settled.written(write);
    } catch (error) {
      // What is refused is refused as a whole: the table is as it was.
      if (!(error instanceof RefusedError)) this.#settled.written(write);
      throw error;
    }
  }

  async #commit(write: TableWrite): Promise<void> {
    const session = this.#sessions.get(write.family);
    if (write.kind === 'write-hooks') return this.#applyHooks(write, session);
    if (session !== undefined && (await session.commit(this.#textOf(write))) === 'done') return;
    await this.#restore(session === undefined ? write : repeatable(write));
  }

  /**
   * A session that fails does not say whether the text was taken, and hooks given again would stand twice: whoever wrote reads them.
   * The next ones go to a process of their own, which says what is wrong with them.
   */
  async #applyHooks(write: TableWrite, session: RestoreSession | undefined): Promise<void> {
    const { family, table } = write;
    const isTrusted = session !== undefined && !this.#doubted.has(family);
    const sent = isTrusted ? await session.commit(this.#textOf(write)) : 'untried';
    if (sent === 'untried') {
      await this.#restore(write);
      this.#doubted.delete(family);
    } else if (sent === 'unknown') {
      this.#doubted.add(family);
      const stderr = `it did not say whether it has taken what leads to our chains in table ${table}`;
      throw new CommandError({ argv: restoreArgv(family, this.#variant), code: 'no answer', stderr });
    }
  }

  async #restore(write: TableWrite): Promise<void> {
    const { text, chainOfLine } = tableInput(write);
    try {
      await this.#run(restoreArgv(write.family, this.#variant), { input: text });
    } catch (error) {
      throw error instanceof CommandError ? (refusalOf(error, chainOfLine) ?? error) : error;
    }
  }
}

/** Rules above the old ones would stand there twice. A second trim is refused, and what is there is read. */
function repeatable(write: TableWrite): TableWrite {
  return write.kind === 'write-chains' ? { ...write, covered: noChains } : write;
}

const noChains: ReadonlyMap<string, number> = new Map();

function sessionFor(
  family: IpFamily,
  { variant, converse, onTransaction }: IptablesOptions,
): readonly [readonly [IpFamily, RestoreSession]] | undefined {
  if (converse === undefined || variant !== 'nft') return undefined;
  const argv = restoreArgv(family, variant);
  return [[family, new RestoreSession({ converse, argv, ...(onTransaction === undefined ? {} : { onTransaction }) })]];
}

/** Legacy waits for the xtables lock that other programs hold; the nf_tables variant ignores the option. */
export function restoreArgv(family: IpFamily, variant: IptablesVariant): Argv {
  return [programName(family, variant, 'restore'), '--noflush', '--wait', '10'];
}

/** iptables-nft-save exits with 0 when native nft rules keep it from reading a table, and says so in a comment. */
async function saved(run: Run, argv: Argv): Promise<string> {
  const { stdout } = await run(argv);
  const unread = [...stdout.matchAll(/^# Table `(\w+)' is incompatible, use/gm)].map(([, table]) => table);
  // There are more tables than we use.
  const table = tableNames.find((name) => unread.includes(name));
  if (table !== undefined) {
    throw new CommandError({
      argv,
      exitCode: 0,
      stderr: `table ${table} holds rules that iptables cannot read; another program put native nft rules into it`,
    });
  }
  return stdout;
}

/** What iptables-save prints without -t. */
function textsOfTables(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/^(?=\*)/m).flatMap((part) => {
      const [, table] = /^\*(\w+)/.exec(part) ?? [];
      return table === undefined ? [] : [[table, part] as const];
    }),
  );
}
