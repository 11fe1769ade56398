import type { ObservedTable } from '../dataplane/observed.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';

export interface TablePlace {
  readonly family: IpFamily;
  readonly table: TableName;
}

/** What is ours in a table, as somebody sees it who looks beside the writer. */
export interface TableView extends TablePlace {
  /** Characters that were read, foreign ones included: what the look costs. */
  readonly size: number;
  /** There was nothing to do about it when it was last seen like this, and we have not written since. */
  readonly isSettled: boolean;
  readonly content: () => ObservedTable;
  /** There is nothing to do about it. */
  readonly settle: () => void;
}
