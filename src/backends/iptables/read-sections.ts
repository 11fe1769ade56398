/**
 * The rules of one family in bounded parts. Where there are few they are one: to start iptables-nft-save for a table costs as much as to
 * read all small ones, because it lists the chains of every table first. An iptables-nft-restore that is given nothing but `-S CHAIN`
 * lines reads these chains alone, and writes nothing: no transaction, no event.
 */
import type { Dataplane } from '../../dataplane/dataplane.ts';
import { tableNames } from '../../dataplane/dataplane.ts';
import type { ObservedPart, Ownership } from '../../dataplane/observed.ts';
import { isBuiltinChain, parseSave } from '../../dataplane/observed.ts';
import { ownsChain } from '../../dataplane/ownership.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { Section } from '../../dataplane/section.ts';
import { cutBySize } from '../../lib/cut-by-size.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { Argv, Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import { chainNames } from './large-table.ts';
import type { IptablesVariant } from './variant.ts';

/** 1,285 chains took 0.6 s, so these take about 0.1 s. */
export const sectionChains = 200;

interface FamilyReader {
  readonly family: IpFamily;
  readonly run: Run;
  readonly variant: IptablesVariant;
  readonly ownership: Ownership;
  readonly limit: number;
  /** An iptables-restore. */
  readonly restore: Argv;
  readonly readWhole: (tables: readonly TableName[]) => Promise<ObservedPart['tables']>;
}

export async function* readSections(
  reader: FamilyReader,
  wanted: () => Dataplane,
): AsyncGenerator<Section, void, void> {
  const { family, run, variant, ownership, limit, readWhole } = reader;
  const { chains } = wanted().tables[family];
  const isSmall = tableNames.reduce((sum, table) => sum + chains[table].size, 0) <= limit;
  if (!isSmall && variant === 'legacy') {
    for (const table of tableNames) yield { kind: 'tables', tables: await readWhole([table]) };
    return;
  }
  const namesOf = isSmall ? undefined : await chainNames(run, family);
  if (namesOf === undefined) {
    yield { kind: 'tables', tables: await readWhole(tableNames) };
    return;
  }
  const isLooked = (name: string): boolean => isBuiltinChain(name) || ownsChain(name, ownership);
  const names = new Map(tableNames.map((table) => [table, namesOf(family, table).filter(isLooked)] as const));
  yield { kind: 'chain-names', family, names };
  for (const [table, ofTable] of names) yield* readTable(reader, { table, names: ofTable }, wanted);
}

async function* readTable(
  { family, run, ownership, limit, restore, readWhole }: FamilyReader,
  { table, names }: { readonly table: TableName; readonly names: readonly string[] },
  wanted: () => Dataplane,
): AsyncGenerator<Section, void, void> {
  const own = names.filter((name) => !isBuiltinChain(name));
  const pieces = cutBySize(own, limit, () => 1);
  const builtins = names.filter(isBuiltinChain);
  for (const [index, piece] of (pieces.length === 0 ? [[]] : pieces).entries()) {
    const hasHooks = index === 0;
    const chains: ReadonlyMap<string, unknown> = wanted().tables[family].chains[table];
    const asked = [...(hasHooks ? builtins : []), ...piece.filter((name) => chains.has(name))];
    if (asked.length === 0) continue;
    const text = await listed(run, restore, { table, names: asked });
    if (text === undefined) yield { kind: 'tables', tables: await readWhole([table]) };
    else yield { kind: 'chains', family, table, names: asked, hasHooks, content: parseSave(text, ownership) };
  }
}

/** Undefined: one of them is not there, or cannot be read so. */
async function listed(
  run: Run,
  argv: Argv,
  { table, names }: { readonly table: TableName; readonly names: readonly string[] },
): Promise<string | undefined> {
  const lines = names.map((name) => `-S ${name}\n`);
  try {
    return (await run(argv, { input: `*${table}\n${lines.join('')}COMMIT\n` })).stdout;
  } catch (error) {
    if (error instanceof CommandError && !error.isMissing) return undefined;
    throw error;
  }
}
