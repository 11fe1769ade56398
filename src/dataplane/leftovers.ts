/**
 * What an update left behind because nothing reaches it any more: old rules below new ones, chains that nobody refers to, sets without
 * a rule. To take them away makes the next rules wait until they are freed (delete-last.ts), so in a burst of changes they stay until
 * it is over.
 */
import type { Dataplane, FamilyTables } from './dataplane.ts';
import { ipFamilies, tableNames } from './dataplane.ts';
import type { ChainPlace, KernelDiff } from './diff.ts';
import { ruleIds } from './diff.ts';
import type { ChainTrim, KernelWrite, Step } from './kernel-write.ts';
import type { ChainName } from './names.ts';
import type { ObservedChain, ObservedDataplane } from './observed.ts';
import { lidId } from './observed.ts';
import type { Chain, TableName } from './rule.ts';
import type { IpFamily } from '../lib/ip.ts';

export interface LeftBehind {
  /** With old rules below, or to be deleted. */
  readonly chains: readonly ChainPlace[];
  readonly sets: readonly string[];
}

/** What is to be done about them in one table of one family. */
export interface TableLeftovers {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly trim: readonly { readonly chain: Chain; readonly below: number }[];
  readonly remove: readonly string[];
}

/** With old rules below. */
export interface CoveredChain {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly chain: Chain;
  readonly below: number;
}

export class Leftovers {
  readonly #chains = new Map<string, ChainPlace>();
  readonly #sets = new Set<string>();

  get size(): number {
    return this.#chains.size + this.#sets.size;
  }

  add({ chains, sets }: LeftBehind): void {
    for (const place of chains) this.#chains.set(keyOf(place), place);
    for (const name of sets) this.#sets.add(name);
  }

  forgetChains(): void {
    this.#chains.clear();
  }

  forgetSets(): void {
    this.#sets.clear();
  }

  /** With the chains that were left behind, for who looks at the kernel and finds them there. */
  including(dataplane: Dataplane, observed: ObservedDataplane): Dataplane {
    if (this.#chains.size === 0) return dataplane;
    const tables = (family: IpFamily): FamilyTables => {
      const { chains, hooks } = dataplane.tables[family];
      const added = (table: TableName): ReadonlyMap<ChainName, Chain> => {
        const found = this.#namesIn(family, table).flatMap((name) => {
          const chain = observed.tables[family][table].chains.get(name);
          return chain?.kind === 'written' ? [[chain.chain.name, chain.chain] as const] : [];
        });
        return found.length === 0 ? chains[table] : new Map([...found, ...chains[table]]);
      };
      const [raw, mangle, nat, filter] = [added('raw'), added('mangle'), added('nat'), added('filter')];
      return { chains: { raw, mangle, nat, filter }, hooks };
    };
    return { ipSets: dataplane.ipSets, tables: { ipv4: tables('ipv4'), ipv6: tables('ipv6') } };
  }

  /** Without what was left behind: it is to go, but is nobody else's doing. */
  sparedIn({ sets, tables }: KernelDiff): KernelDiff {
    return {
      sets: { ...sets, destroy: sets.destroy.filter((name) => !this.#sets.has(name)) },
      tables: tables.map((diff) => ({
        ...diff,
        remove: diff.remove.filter((name) => !this.#chains.has(keyOf({ ...diff, name }))),
      })),
    };
  }

  /** Chains that have old rules below, before the kernel is read. */
  covered(observed: ObservedDataplane): readonly CoveredChain[] {
    return [...this.#chains.values()].flatMap(({ family, table, name }) => {
      const found = observed.tables[family][table].chains.get(name);
      if (found?.kind !== 'written' || found.below === undefined) return [];
      return [{ family, table, chain: found.chain, below: found.below }];
    });
  }

  /** Where something is left still. What came to be wanted again stays; of what was read since, all was mended. */
  tables(dataplane: Dataplane, observed: ObservedDataplane): readonly TableLeftovers[] {
    return ipFamilies.flatMap((family) =>
      tableNames.flatMap((table): readonly TableLeftovers[] => {
        const wanted: ReadonlyMap<string, Chain> = dataplane.tables[family].chains[table];
        const found = observed.tables[family][table].chains;
        const names = this.#namesIn(family, table);
        const trim = names.flatMap((name) => {
          const chain = found.get(name);
          if (!wanted.has(name) || chain?.kind !== 'written' || chain.below === undefined) return [];
          return [{ chain: chain.chain, below: chain.below }];
        });
        const remove = names.filter((name) => found.has(name) && !wanted.has(name));
        return trim.length + remove.length === 0 ? [] : [{ family, table, trim, remove }];
      }),
    );
  }

  #namesIn(family: IpFamily, table: TableName): readonly string[] {
    const places = [...this.#chains.values()].filter((place) => place.family === family && place.table === table);
    return places.map(({ name }) => name);
  }

  sets(dataplane: Dataplane, observed: ObservedDataplane): readonly string[] {
    const wanted: ReadonlyMap<string, unknown> = dataplane.ipSets;
    return [...this.#sets].filter((name) => observed.ipSets.has(name) && !wanted.has(name));
  }
}

function keyOf({ family, table, name }: ChainPlace): string {
  return `${family} ${table} ${name}`;
}

/** Whether a chain that was read is as it was left: its rules, what returns, and as many below as there were. */
export function isAsLeft({ chain, below }: CoveredChain, found: ObservedChain | undefined): boolean {
  if (found?.kind !== 'read') return false;
  const expected = [...ruleIds(chain), lidId];
  return found.ids.length === chain.rules.length + below && expected.every((id, index) => found.ids[index] === id);
}

/** What a plan's writes leave below the chains that they write. */
export function coveredIn(steps: readonly Step[]): readonly ChainPlace[] {
  return steps.flatMap(({ writes }) =>
    writes.flatMap((write) => {
      if (write.kind !== 'write-chains' || write.covered === undefined) return [];
      const { family, table, covered } = write;
      return [...covered.keys()].map((name) => ({ family, table, name }));
    }),
  );
}

/**
 * Takes the old rules away. By number, which has no rules of its own and is done at once, only where `isSure` that nobody has put
 * a rule of his own in between; else the chain is replaced, which is right whatever it holds.
 */
export function trimmingWrite({ family, table, trim }: TableLeftovers, isSure: boolean): KernelWrite | undefined {
  if (trim.length === 0) return undefined;
  if (!isSure) return { kind: 'write-chains', family, table, chains: trim.map(({ chain }) => chain) };
  const chains = trim.map(({ chain, below }): ChainTrim => ({ name: chain.name, stay: chain.rules.length, go: below }));
  return { kind: 'trim-chains', family, table, chains };
}
