/** The look at tables that tell nobody of their changes (legacy): all that is ours in them, as often as it costs next to nothing. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import { tableNames } from '../dataplane/dataplane.ts';
import { diffTable, sizeOfTableDiff } from '../dataplane/diff.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { TableView } from './table-view.ts';

export interface TableLooksOptions {
  readonly backend: { view(tables: readonly TableName[]): Promise<readonly TableView[]> };
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** A table of fewer characters is looked at every time. Default: about 2,000 rules, a few milliseconds. */
  readonly smallSize?: number;
}

interface Pace {
  readonly size: number;
  /** No look before. */
  readonly at: number;
}

/** A look at a large table may cost a hundredth of the time, and a tenth where somebody changes it again and again. */
const restFactors = { right: 100, drifted: 10 };

export class TableLooks {
  readonly #options: TableLooksOptions;
  readonly #smallSize: number;
  readonly #paces = new Map<TableName, Pace>();
  /** Large tables that the last look found changed: it is the next one that counts, for a write under way looks the same. */
  readonly #suspects = new Set<TableName>();

  constructor(options: TableLooksOptions) {
    this.#options = options;
    this.#smallSize = options.smallSize ?? 250_000;
  }

  /** Tables in which something of ours is not as `dataplane` wants it. */
  async find(dataplane: Dataplane): Promise<readonly TableName[]> {
    const now = this.#options.now();
    const due = tableNames.filter((table) => this.#suspects.has(table) || now >= (this.#paces.get(table)?.at ?? 0));
    const small = due.filter((table) => !this.#isLarge(table));
    const large = due.filter((table) => this.#isLarge(table));
    const drifted = small.length === 0 ? [] : await this.#look(dataplane, small);
    // One after the other: each tells what it costs.
    for (const table of large) drifted.push(...(await this.#look(dataplane, [table])));
    return drifted;
  }

  #isLarge(table: TableName): boolean {
    return (this.#paces.get(table)?.size ?? 0) >= this.#smallSize;
  }

  async #look(dataplane: Dataplane, tables: readonly TableName[]): Promise<TableName[]> {
    const { backend, now } = this.#options;
    const began = now();
    const views = await backend.view(tables);
    const drifted = new Set(views.filter((view) => isDrifted(dataplane, view)).map(({ table }) => table));
    const ended = now();
    for (const table of tables) {
      const ofTable = views.filter((view) => view.table === table);
      const size = ofTable.reduce((sum, view) => sum + view.size, 0);
      const rest = (ended - began) * restFactors[drifted.has(table) ? 'drifted' : 'right'];
      this.#paces.set(table, { size, at: size < this.#smallSize ? 0 : ended + rest });
      const wasSuspect = this.#suspects.delete(table);
      if (drifted.has(table) && !wasSuspect) this.#suspects.add(table);
    }
    return [...drifted];
  }
}

function isDrifted(dataplane: Dataplane, view: TableView): boolean {
  if (view.isSettled) return false;
  if (sizeOfTableDiff(diffTable(dataplane, view, view.content())) > 0) return true;
  view.settle();
  return false;
}
