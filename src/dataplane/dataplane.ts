/** Everything that should be in one node's kernel, as data, and how a change of it looks. */
import type { IpFamily } from '../lib/ip.ts';
import type { ChainName, IpSetName } from './names.ts';
import type { Chain, Hook, IpSet, TableName } from './rule.ts';

export const tableNames: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];
export const ipFamilies: readonly IpFamily[] = ['ipv4', 'ipv6'];

/** One family's rules. A built-in chain's rules of ours are hooks. */
export interface FamilyTables {
  readonly chains: Readonly<Record<TableName, ReadonlyMap<ChainName, Chain>>>;
  readonly hooks: readonly Hook[];
}

/** The desired state of one node. Families that are not enabled have no chains, hooks or sets. */
export interface Dataplane {
  readonly ipSets: ReadonlyMap<IpSetName, IpSet>;
  readonly tables: Readonly<Record<IpFamily, FamilyTables>>;
}

export interface ChainChange {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly name: ChainName;
  /** Absent: remove it. */
  readonly chain?: Chain;
}

export type IpSetChange =
  /** New, or of another type: the whole set. */
  | { readonly kind: 'create'; readonly set: IpSet }
  /** `set` is the set after the change. */
  | {
      readonly kind: 'members';
      readonly set: IpSet;
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  | { readonly kind: 'remove'; readonly name: IpSetName; readonly family: IpFamily };

/** What an update changed. Applying a delta to the dataplane before it gives the dataplane after it. */
export interface DataplaneDelta {
  readonly ipSets: readonly IpSetChange[];
  readonly chains: readonly ChainChange[];
  /** The whole new list of a family whose hooks changed. */
  readonly hooks: readonly { readonly family: IpFamily; readonly hooks: readonly Hook[] }[];
}

/** Owner of one dataplane; `apply` changes it in place. Reading it gives the live state. */
export class DataplaneStore implements Dataplane {
  readonly #ipSets = new Map<IpSetName, IpSet>();
  readonly #chains: Record<IpFamily, Record<TableName, Map<ChainName, Chain>>> = {
    ipv4: emptyTables(),
    ipv6: emptyTables(),
  };
  readonly #hooks: Record<IpFamily, readonly Hook[]> = { ipv4: [], ipv6: [] };

  get ipSets(): ReadonlyMap<IpSetName, IpSet> {
    return this.#ipSets;
  }

  get tables(): Record<IpFamily, FamilyTables> {
    return {
      ipv4: { chains: this.#chains.ipv4, hooks: this.#hooks.ipv4 },
      ipv6: { chains: this.#chains.ipv6, hooks: this.#hooks.ipv6 },
    };
  }

  apply(delta: DataplaneDelta): void {
    for (const change of delta.ipSets) {
      if (change.kind === 'remove') this.#ipSets.delete(change.name);
      else this.#ipSets.set(change.set.name, change.set);
    }
    for (const { family, table, name, chain } of delta.chains) {
      if (chain === undefined) this.#chains[family][table].delete(name);
      else this.#chains[family][table].set(name, chain);
    }
    for (const { family, hooks } of delta.hooks) this.#hooks[family] = hooks;
  }
}

function emptyTables(): Record<TableName, Map<ChainName, Chain>> {
  return { raw: new Map(), mangle: new Map(), nat: new Map(), filter: new Map() };
}
