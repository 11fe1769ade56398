/** What the writer needs of a kernel: the real one, or the tests' own. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { KernelWrite } from '../dataplane/kernel-write.ts';
import type { IpSetName } from '../dataplane/names.ts';
import type { ObservedHook, ObservedPart } from '../dataplane/observed.ts';
import type { PieceLimits } from '../dataplane/pieces.ts';
import type { BuiltinChain, TableName } from '../dataplane/rule.ts';
import type { Section } from '../dataplane/section.ts';
import type { IpFamily } from '../lib/ip.ts';

export interface ReadScope {
  readonly tables: readonly TableName[];
  readonly ipSets: boolean;
}

export const nothing: ReadScope = { tables: [], ipSets: false };

/** `ipset restore` may have done a part. */
export const setsAlone: ReadScope = { tables: [], ipSets: true };

/** What a refused write may mean: the kernel is not as we thought. A rule may be refused for a set that somebody destroyed. */
export function scopeOf(write: KernelWrite): ReadScope {
  return { tables: 'table' in write ? [write.table] : [], ipSets: true };
}

export function isNothing({ tables, ipSets }: ReadScope): boolean {
  return tables.length === 0 && !ipSets;
}

export function unionOf(left: ReadScope, right: ReadScope): ReadScope {
  return { tables: [...new Set([...left.tables, ...right.tables])], ipSets: left.ipSets || right.ipSets };
}

export interface HookPlace {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly chain: BuiltinChain;
}

export interface Backend {
  /** How large a transaction about chains may be. */
  readonly pieces: PieceLimits;
  /** `isFirst`: nothing was written yet, so of what is too large to be read its names are enough; it is written anew. */
  read(scope: ReadScope, isFirst?: boolean): Promise<ObservedPart>;
  /**
   * Everything, in bounded parts: each is read when it is asked for, and what is not wanted any more by then is not asked about.
   * What has come to be wanted meanwhile may be left out.
   */
  readSections(wanted: () => Dataplane): AsyncGenerator<Section, void, void>;
  /** Our rules in one built-in chain. Cheap with nf_tables at every size; legacy copies the table (0.3 s at 110,000 rules). */
  readHooks(place: HookPlace): Promise<readonly ObservedHook[]>;
  /** Our sets, and how many members each has; members are not listed. Cheapest where `known` is there. */
  readSetCounts(known: IpSetName): Promise<ReadonlyMap<string, number>>;
  /**
   * Carries out one write. Rules: all of it or nothing. Sets: line by line, and it may be given again.
   * Throws RefusedError when the kernel says no, CommandError when the machine does.
   */
  apply(write: KernelWrite): Promise<ApplyResult>;
  /** What a write needs that comes next can be made ready while the kernel takes the one before. */
  prepare?(write: KernelWrite): void;
}

export interface ApplyResult {
  /** Sets that could not be destroyed because something still refers to them. */
  readonly kept: readonly string[];
}

export interface Refused {
  readonly message: string;
  /** The chain or set that the error named, where it did and can be trusted. */
  readonly culprit?: string;
  /** The member of the set, where it is one member's fault. */
  readonly member?: string;
}

/** The kernel or its tools refused what we asked for: asking again changes nothing. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly culprit: string | undefined;
  readonly member: string | undefined;

  constructor(refused: Refused, options?: ErrorOptions) {
    super(refused.message, options);
    this.culprit = refused.culprit;
    this.member = refused.member;
  }
}
