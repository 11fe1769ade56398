/** A bounded part of the kernel, as it was found, held against what should be there: a compare of everything goes from one to the next. */
import { unreachable } from '../lib/unreachable.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { Dataplane, DataplaneDelta } from './dataplane.ts';
import { tableNames } from './dataplane.ts';
import { diffDelta, sizeOfDiff } from './diff.ts';
import type { ObservedPart, ObservedSet, ObservedTable } from './observed.ts';
import { isBuiltinChain } from './observed.ts';
import { ObservedStore } from './observed-store.ts';
import { isSharedChain } from './ownership.ts';
import type { Chain, IpSet, TableName } from './rule.ts';

export type Section =
  /** Whole tables. */
  | { readonly kind: 'tables'; readonly tables: ObservedPart['tables'] }
  /** Which chains of ours, and of the kernel's own, there are in the tables of one family. */
  | {
      readonly kind: 'chain-names';
      readonly family: IpFamily;
      readonly names: ReadonlyMap<TableName, readonly string[]>;
    }
  /** What some chains of one table hold. */
  | {
      readonly kind: 'chains';
      readonly family: IpFamily;
      readonly table: TableName;
      readonly names: readonly string[];
      /** All of the kernel's own chains of this table are among them. */
      readonly hasHooks: boolean;
      readonly content: ObservedTable;
    }
  /** Which sets of ours there are. */
  | { readonly kind: 'set-names'; readonly names: readonly string[] }
  /** What some of them hold. */
  | { readonly kind: 'sets'; readonly names: readonly string[]; readonly sets: ReadonlyMap<string, ObservedSet> };

export interface Differing {
  readonly tables: readonly TableName[];
  readonly ipSets: boolean;
}

/** Where this part is not as it should be. `known`: what is in the sets that the agent fills by itself. */
export function differingIn(
  section: Section,
  wanted: Dataplane,
  known: ReadonlyMap<string, Pick<ObservedSet, 'members'>>,
): Differing {
  switch (section.kind) {
    case 'tables':
      return inTables(section.tables.filter((part) => isTableDiffering(part, wanted)).map(({ table }) => table));
    case 'chain-names': {
      const { family, names } = section;
      return inTables(tableNames.filter((table) => areChainsOthers(names.get(table) ?? [], { family, table }, wanted)));
    }
    case 'chains':
      return inTables(isContentDiffering(section, wanted) ? [section.table] : []);
    case 'set-names':
      return inSets(areOthers(section.names, wanted.ipSets));
    case 'sets':
      return inSets(areSetsDiffering(section, wanted.ipSets, known));
    default:
      return unreachable(section);
  }
}

interface Place {
  readonly family: IpFamily;
  readonly table: TableName;
}

function inTables(tables: readonly TableName[]): Differing {
  return { tables: [...new Set(tables)], ipSets: false };
}

function inSets(ipSets: boolean): Differing {
  return { tables: [], ipSets };
}

function isTableDiffering(part: ObservedPart['tables'][number], wanted: Dataplane): boolean {
  const { chains } = wanted.tables[part.family];
  const found = [...part.content.chains.keys()].filter((name) => !isSharedChain(name));
  const isStale = found.some((name) => !hasName(chains[part.table], name));
  return isStale || isContentDiffering({ ...part, names: [...chains[part.table].keys()], hasHooks: true }, wanted);
}

/** Too few, or too many. Hooks need the kernel's own chains, which somebody may have deleted. */
function areChainsOthers(found: readonly string[], { family, table }: Place, wanted: Dataplane): boolean {
  const { chains, hooks } = wanted.tables[family];
  const builtins = new Set<string>(found.filter(isBuiltinChain));
  if (hooks.some((hook) => hook.table === table && !builtins.has(hook.chain))) return true;
  const own = found.filter((name) => !builtins.has(name));
  return areOthers(own, chains[table]);
}

function areOthers(found: readonly string[], wanted: ReadonlyMap<string, unknown>): boolean {
  const present = new Set(found);
  return (
    found.some((name) => !wanted.has(name) && !isSharedChain(name)) ||
    [...wanted.keys()].some((name) => !present.has(name))
  );
}

interface Content extends Place {
  readonly names: readonly string[];
  readonly hasHooks: boolean;
  readonly content: ObservedTable;
}

/** As if these chains had only now come to be wanted: a diff then says what of them is not there. */
function isContentDiffering({ family, table, names, hasHooks, content }: Content, wanted: Dataplane): boolean {
  const { chains, hooks } = wanted.tables[family];
  const byName: ReadonlyMap<string, Chain> = chains[table];
  const delta: DataplaneDelta = {
    ipSets: [],
    chains: names.flatMap((name) => {
      const chain = byName.get(name);
      return chain === undefined ? [] : [{ family, table, name: chain.name, chain }];
    }),
    hooks: hasHooks ? [{ family, hooks: hooks.filter((hook) => hook.table === table) }] : [],
  };
  return isMissing(delta, { tables: [{ family, table, content }] });
}

function areSetsDiffering(
  { names, sets }: { readonly names: readonly string[]; readonly sets: ReadonlyMap<string, ObservedSet> },
  wanted: ReadonlyMap<string, IpSet>,
  known: ReadonlyMap<string, Pick<ObservedSet, 'members'>>,
): boolean {
  const changes = names.flatMap((wantedName) => {
    const set = wanted.get(wantedName);
    if (set === undefined) return [];
    const { members } = (set.dynamic === true ? known.get(set.name) : undefined) ?? set;
    const { name, family, type, origin } = set;
    return [{ kind: 'create' as const, set: { name, family, type, origin, members } }];
  });
  return isMissing({ ipSets: changes, chains: [], hooks: [] }, { tables: [], ipSets: sets });
}

function isMissing(delta: DataplaneDelta, found: ObservedPart): boolean {
  const observed = new ObservedStore();
  observed.replace(found);
  return sizeOfDiff(diffDelta(delta, observed)) > 0;
}

function hasName(names: ReadonlyMap<string, unknown>, name: string): boolean {
  return names.has(name);
}
