/** Collects what an update wants of a dataplane, and says what of it is a change. */
import type { IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import type { ChainChange, Dataplane, DataplaneDelta, IpSetChange } from './dataplane.ts';
import { tableNames } from './dataplane.ts';
import type { ChainName, IpSetName } from './names.ts';
import type { Chain, Hook, IpSet, TableName } from './rule.ts';

/** The last word about a chain or set counts; what equals the present state is no change, and keeps its object. */
export class DeltaBuilder {
  readonly #present: Dataplane;
  readonly #chains = new Map<string, ChainChange>();
  readonly #ipSets = new Map<IpSetName, IpSetChange>();
  readonly #hooks = new Map<IpFamily, readonly Hook[]>();

  constructor(present: Dataplane) {
    this.#present = present;
  }

  putChain(family: IpFamily, table: TableName, chain: Chain): void {
    this.changeChain({ family, table, name: chain.name, chain });
  }

  removeChain(family: IpFamily, table: TableName, name: ChainName): void {
    this.changeChain({ family, table, name });
  }

  changeChain(change: ChainChange): void {
    this.#chains.set(`${change.family} ${change.table} ${change.name}`, change);
  }

  /** The whole set as it shall be. */
  putSet(set: IpSet): void {
    const before = this.#present.ipSets.get(set.name);
    if (before === undefined || before.type !== set.type) {
      this.#ipSets.set(set.name, { kind: 'create', set });
      return;
    }
    const added = [...set.members].filter((member) => !before.members.has(member));
    const removed = [...before.members].filter((member) => !set.members.has(member));
    const isOther = added.length > 0 || removed.length > 0 || !isSameSet(before.closing, set.closing);
    if (isOther) this.#ipSets.set(set.name, { kind: 'members', set, added, removed });
  }

  /** A change that somebody else has worked out. */
  changeSet(change: IpSetChange): void {
    this.#ipSets.set(change.kind === 'remove' ? change.name : change.set.name, change);
  }

  putHooks(family: IpFamily, hooks: readonly Hook[]): void {
    if (!sameValue(this.#present.tables[family].hooks, hooks)) this.#hooks.set(family, hooks);
  }

  finish(): DataplaneDelta {
    return {
      ipSets: [...this.#ipSets.values()],
      chains: [...this.#chains.values()].filter((change) => this.#isChange(change)).sort(byTable),
      hooks: [...this.#hooks].map(([family, hooks]) => ({ family, hooks })),
    };
  }

  #isChange({ family, table, name, chain }: ChainChange): boolean {
    const before = this.#present.tables[family].chains[table].get(name);
    return chain === undefined || before === undefined ? chain !== before : !sameValue(before, chain);
  }
}

function isSameSet(left: ReadonlySet<string> = new Set(), right: ReadonlySet<string> = new Set()): boolean {
  return left.size === right.size && [...left].every((member) => right.has(member));
}

/** The order in which an update names its chains depends on nothing but what changed. */
function byTable(left: ChainChange, right: ChainChange): number {
  const tables = tableNames.indexOf(left.table) - tableNames.indexOf(right.table);
  if (left.family !== right.family) return left.family < right.family ? -1 : 1;
  if (tables !== 0 || left.name === right.name) return tables;
  return left.name < right.name ? -1 : 1;
}
