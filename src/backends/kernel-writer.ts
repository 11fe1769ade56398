/** The one writer to the kernel: a serial queue of plans, each carried out step by step; what fails is read again and mended. */
import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import type { Dataplane, DataplaneDelta } from '../dataplane/dataplane.ts';
import { ipFamilies, tableNames } from '../dataplane/dataplane.ts';
import { describeDiff } from '../dataplane/describe-diff.ts';
import { diffDataplane, isRetyping, sizeOfDiff } from '../dataplane/diff.ts';
import type { KernelWrite, Step } from '../dataplane/kernel-write.ts';
import type { ObservedDataplane } from '../dataplane/observed.ts';
import { ObservedStore } from '../dataplane/observed-store.ts';
import { Leftovers } from '../dataplane/leftovers.ts';
import { planCleanup, planSteps, planTidy, planUrgentSteps, stepsOf } from '../dataplane/plan.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { Backend, ReadScope } from './backend.ts';
import { isNothing, nothing, RefusedError, scopeOf, setsAlone, unionOf } from './backend.ts';
import { findDrift } from './drift-check.ts';
import { CommandError } from './exec.ts';
import { applyIsolated } from './isolate.ts';
import { KeptSets } from './kept-sets.ts';
import type { Refusal } from './refusals.ts';
import { Refusals } from './refusals.ts';
import { Sweep } from './sweep.ts';
import type { Counts, Inspection, WriteReport } from './write-report.ts';
import { counted, noCounts } from './write-report.ts';

export interface WriterOptions {
  readonly backend: Backend;
  /** Pauses before the tries after the first, when the machine (not the kernel's judgement) is at fault. */
  readonly retryDelaysMs?: readonly number[];
  /** Pauses before a set that is still in use is destroyed once more: nf_tables frees the rules that referred to it after the write. */
  readonly letGoDelaysMs?: readonly number[];
  /** Told what kept the machine from writing, before that is tried again: to wait for a lock takes ten seconds each time. */
  readonly onFailedTry?: (error: CommandError) => void;
  /** How long what was read ahead counts: no longer than a first write may take anyway. */
  readonly aheadMs?: number;
}

export interface ResyncOptions {
  /** Default: everything. */
  readonly scope?: ReadScope;
  /** Also tries again what the kernel refused before. */
  readonly retryRefused?: boolean;
}

export interface UpdateOptions {
  /** What nothing reaches any more is left for `tidy`: to take it away keeps the next change waiting, or copies a table once more. */
  readonly isLeaving?: boolean;
}

export const wholeKernel: ReadScope = { tables: tableNames, ipSets: true };

export class KernelWriter {
  readonly #backend: Backend;
  readonly #retryDelaysMs: readonly number[];
  readonly #letGoDelaysMs: readonly number[];
  readonly #onFailedTry: WriterOptions['onFailedTry'];
  readonly #aheadMs: number;
  readonly #queue = new PQueue({ concurrency: 1 });
  readonly #observed = new ObservedStore();
  readonly #refusals = new Refusals();
  /** What must be read before the next plan; at first everything. */
  #unread: ReadScope = wholeKernel;
  readonly #kept = new KeptSets();
  readonly #leftovers = new Leftovers();
  #sweep: Sweep | undefined;
  #counts: Counts = noCounts;
  /** Everything was as it should be, once. */
  #isStarted = false;
  /** Before the first plan, what was read holds until then. */
  #aheadUntil = Number.NEGATIVE_INFINITY;

  constructor(options: WriterOptions) {
    const { backend, retryDelaysMs = [50, 200, 1_000], letGoDelaysMs = [10, 50, 150] } = options;
    const { aheadMs = 1_000, onFailedTry } = options;
    this.#onFailedTry = onFailedTry;
    this.#aheadMs = aheadMs;
    this.#backend = backend;
    this.#letGoDelaysMs = letGoDelaysMs;
    this.#retryDelaysMs = retryDelaysMs;
  }

  /** As it was when last read or written. */
  get observed(): ObservedDataplane {
    return this.#observed;
  }

  /** Sets of an earlier write are still to be destroyed: any update does it. */
  get hasKeptSets(): boolean {
    return this.#kept.size > 0;
  }

  /** Updates have left behind what nothing reaches: `tidy` takes it away, in two calls where sets are among it. */
  get hasLeftovers(): boolean {
    return this.#leftovers.size > 0;
  }

  get refusals(): readonly Refusal[] {
    return this.#refusals.all;
  }

  /** What can be in the kernel of `dataplane`: without what it refused, with what was left behind. A look at anything else would find the same drift for ever. */
  possible(dataplane: Dataplane): Dataplane {
    return this.#leftovers.including(this.#refusals.withoutRefused(dataplane), this.#observed);
  }

  /** Reads what the first plan needs while cluster and node are read: it counts where that plan follows soon. Fails as that plan would. */
  readAhead(): Promise<void> {
    return this.#queue.add(async () => {
      if (this.#isStarted) return;
      await this.#read(this.#unread);
      this.#aheadUntil = performance.now() + this.#aheadMs;
    });
  }

  /** Reads the kernel, and writes what differs from `dataplane`. */
  resync(
    dataplane: Dataplane,
    { scope = wholeKernel, retryRefused = false }: ResyncOptions = {},
  ): Promise<WriteReport> {
    return this.#enqueue(async () => {
      if (retryRefused) this.#refusals.clear();
      await this.#destroyKept(dataplane);
      this.#unread = unionOf(this.#unread, scope);
      const found = await this.#readAndMend(dataplane);
      await this.#waitForKept(dataplane);
      return found;
    });
  }

  /**
   * A compare of everything, a bounded part at each call, so that others' writes come in between: it begins by itself, and anew after
   * the last part. What differs is for `resync`; what was left behind is taken away before, as by `tidy`.
   */
  inspectNext(dataplane: Dataplane, isSure = false): Promise<Inspection> {
    return this.#queue.add(async () => {
      const started = performance.now();
      await this.#tidyBeforeRead(dataplane, isSure);
      const wanted = this.possible(dataplane);
      this.#sweep ??= new Sweep(this.#backend, wanted);
      // What fails begins anew.
      const sweep = this.#sweep;
      this.#sweep = undefined;
      const found = await sweep.next(wanted, this.#observed);
      if (found !== undefined) this.#sweep = sweep;
      const scope = unionOf(this.#unread, found ?? nothing);
      return { scope, isLast: found === undefined, durationMs: performance.now() - started };
    });
  }

  /** A cheap look at hooks and set sizes; what it finds wrong is read and mended. For what has no events, every few seconds. */
  checkDrift(dataplane: Dataplane): Promise<WriteReport> {
    return this.#enqueue(async () => {
      await this.#destroyKept(dataplane);
      const drift = await findDrift(this.#refusals.applyToAll(dataplane), this.#backend);
      if (isNothing(drift) && isNothing(this.#unread)) return none;
      this.#unread = unionOf(this.#unread, drift);
      return this.#readAndMend(dataplane);
    });
  }

  /** Writes one change. `dataplane` is the state after it. What goes wrong is read again and mended before this resolves. */
  update(delta: DataplaneDelta, dataplane: Dataplane, { isLeaving = false }: UpdateOptions = {}): Promise<WriteReport> {
    return this.#enqueue(() =>
      this.#orMend(dataplane, async () => {
        await this.#destroyKept(dataplane);
        if (isLeaving) return this.#updateLeaving(delta, dataplane);
        const steps = planSteps(this.#refusals.applyToDelta(delta), dataplane, this.#observed, this.#backend.pieces);
        await this.#applyAll(steps);
        await this.#waitForKept(dataplane);
      }),
    );
  }

  /**
   * Takes away what updates have left behind: rules and chains at the first call, at the next one sets, which the kernel has let go of by
   * then. `isSure`: nobody else has touched our rules since, as far as is known.
   */
  tidy(dataplane: Dataplane, isSure: boolean): Promise<WriteReport> {
    return this.#enqueue(() => this.#orMend(dataplane, () => this.#tidyNext(dataplane, isSure)));
  }

  /** Changes the members of a set that the agent fills by itself. */
  changeMembers(
    set: IpSet,
    change: { readonly add: readonly string[]; readonly remove: readonly string[] },
  ): Promise<WriteReport> {
    return this.#enqueue(async () => {
      const found = this.#observed.ipSets.get(set.name);
      const gone = new Set(change.remove);
      const members = new Set([...(found?.members ?? []), ...change.add].filter((member) => !gone.has(member)));
      const isTooSmall = found !== undefined && members.size > found.maxElements;
      const write: KernelWrite = isTooSmall
        ? { kind: 'resize-set', set: { ...set, members } }
        : { kind: 'write-sets', sets: [{ set, create: found === undefined, ...change }] };
      await this.#apply(write, setsAlone);
      return none;
    });
  }

  /** Takes everything of ours off the node. */
  cleanup(): Promise<WriteReport> {
    return this.#enqueue(async () => {
      this.#refusals.clear();
      await this.#read(wholeKernel);
      await this.#execute(planCleanup(this.#observed, this.#backend.pieces), (write) => this.#applyIsolated(write));
      return none;
    });
  }

  async #updateLeaving(delta: DataplaneDelta, dataplane: Dataplane): Promise<void> {
    const wanted = this.#refusals.applyToDelta(delta);
    if (isRetyping(wanted, this.#observed)) await this.#tidyAll(dataplane, false);
    const { steps, left } = planUrgentSteps(wanted, dataplane, this.#observed, this.#backend.pieces);
    await this.#applyAll(steps);
    this.#leftovers.add(left);
    if (this.#leftovers.size > maxLeftovers) await this.#tidyNext(dataplane, false);
  }

  async #tidyNext(dataplane: Dataplane, isSure: boolean): Promise<void> {
    const tables = this.#leftovers.tables(dataplane, this.#observed);
    await this.#applyAll(planTidy(tables, isSure, this.#backend.pieces));
    this.#leftovers.forgetChains();
    if (tables.length > 0) return;
    const names = this.#leftovers.sets(dataplane, this.#observed);
    if (names.length > 0) await this.#apply({ kind: 'destroy-sets', names }, setsAlone);
    this.#leftovers.forgetSets();
  }

  async #tidyAll(dataplane: Dataplane, isSure: boolean): Promise<void> {
    while (this.#leftovers.size > 0) await this.#tidyNext(dataplane, isSure);
  }

  /** What fails here is in doubt then, and mended. */
  async #tidyBeforeRead(dataplane: Dataplane, isSure: boolean): Promise<void> {
    if (!this.#isStarted || !isNothing(this.#unread)) return;
    try {
      await this.#tidyAll(dataplane, isSure);
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  /** What cannot be carried out because something is in doubt, or fails, is read and mended. */
  async #orMend(dataplane: Dataplane, carryOut: () => Promise<void>): Promise<Differences> {
    if (!this.#isStarted || !isNothing(this.#unread)) return this.#readAndMend(dataplane);
    try {
      await carryOut();
      return none;
    } catch (error) {
      if (!isExpected(error)) throw error;
      this.#tell(error);
      return this.#readAndMend(dataplane);
    }
  }

  #applyAll(steps: readonly Step[]): Promise<void> {
    return this.#execute(steps, (write) => this.#apply(write, scopeOf(write)));
  }

  async #enqueue(task: () => Promise<Differences>): Promise<WriteReport> {
    return this.#queue.add(async () => {
      const started = performance.now();
      this.#counts = noCounts;
      const differences = await task();
      const durationMs = performance.now() - started;
      return { ...this.#counts, ...differences, refused: this.#refusals.all, durationMs };
    });
  }

  /** What is left of an earlier write. */
  async #destroyKept(dataplane: Dataplane): Promise<void> {
    if (this.#kept.size === 0) return;
    const names = this.#kept.due(dataplane, this.#observed);
    if (names.length > 0) await this.#apply({ kind: 'destroy-sets', names }, setsAlone);
  }

  async #waitForKept(dataplane: Dataplane): Promise<void> {
    for (const delayMs of this.#letGoDelaysMs) {
      if (this.#kept.size === 0) return;
      await sleep(delayMs);
      await this.#destroyKept(dataplane);
    }
  }

  /** Reads what is in doubt and writes what differs, with the refused parts closed. Tries again while the machine fails. */
  async #readAndMend(dataplane: Dataplane): Promise<Differences> {
    for (const delayMs of this.#retryDelaysMs) {
      try {
        return await this.#mendOnce(dataplane);
      } catch (error) {
        if (!isExpected(error) || (error instanceof CommandError && error.isMissing)) throw error;
        this.#tell(error);
        await sleep(delayMs);
      }
    }
    return this.#mendOnce(dataplane);
  }

  #tell(error: unknown): void {
    if (error instanceof CommandError) this.#onFailedTry?.(error);
  }

  async #mendOnce(dataplane: Dataplane): Promise<Differences> {
    if (!this.#isStarted && performance.now() > this.#aheadUntil) this.#unread = wholeKernel;
    await this.#read(this.#unread);
    this.#refusals.beginCompare(dataplane);
    const wanted = this.#refusals.applyToAll(dataplane);
    // What was left behind stays until it is calm.
    const diff = this.#leftovers.sparedIn(diffDataplane(wanted, this.#observed));
    const found = { differenceCount: sizeOfDiff(diff), differences: describeDiff(diff, this.#observed) };
    await this.#execute(stepsOf(diff, wanted, this.#backend.pieces), (write) => this.#applyIsolated(write));
    this.#confirmAll(this.#refusals.applyToAll(dataplane));
    this.#isStarted = true;
    return found;
  }

  async #read(scope: ReadScope): Promise<void> {
    const part = await this.#backend.read(scope, !this.#isStarted);
    this.#observed.replace(part, this.#leftovers.covered(this.#observed));
    this.#unread = nothing;
  }

  /** What was read and found equal need not be compared by text again. */
  #confirmAll(wanted: Dataplane): void {
    const refused = new Set(
      this.#refusals.all.map((refusal) => (refusal.kind === 'chain' ? refusal.chain : undefined)),
    );
    for (const { family, table } of everyTable) {
      for (const chain of wanted.tables[family].chains[table].values()) {
        if (!refused.has(chain)) this.#observed.confirm(family, table, chain);
      }
    }
  }

  /**
   * One write at a time, of the families too: the kernel takes no two transactions at once, and an iptables-restore that another one
   * has overtaken reads everything again. The first failure of a step counts when all of it was tried.
   */
  async #execute(steps: readonly Step[], apply: (write: KernelWrite) => Promise<void>): Promise<void> {
    const order = steps.flatMap(({ writes }) => writes);
    const following = new Map(order.map((write, index) => [write, order[index + 1]]));
    for (const { writes } of steps) {
      const failures: unknown[] = [];
      for (const write of writes) {
        const ahead = setImmediate(() => this.#prepare(following.get(write)));
        await apply(write).catch((error: unknown) => failures.push(error));
        clearImmediate(ahead);
      }
      if (failures.length > 0) throw failures[0];
    }
  }

  #prepare(write: KernelWrite | undefined): void {
    if (write !== undefined) this.#backend.prepare?.(write);
  }

  async #applyIsolated(write: KernelWrite): Promise<void> {
    await applyIsolated(write, {
      apply: (part) => this.#apply(part, 'table' in part ? nothing : setsAlone),
      has: ({ family, table }, name) => this.#observed.tables[family][table].chains.has(name),
      refuse: (refusal, standIn) => this.#refusals.add(refusal, standIn),
    });
  }

  /** `inDoubt`: what a refusal leaves to be read again. After any other failure that is everything. */
  async #apply(write: KernelWrite, inDoubt: ReadScope): Promise<void> {
    try {
      const { kept } = await this.#backend.apply(write);
      this.#observed.apply(write, kept);
      if (write.kind === 'destroy-sets') this.#kept.remember(write.names, kept);
      this.#counts = counted(this.#counts, write, kept);
    } catch (caught) {
      const error = this.#isStale(caught) ? caught.cause : caught;
      this.#unread = unionOf(this.#unread, error instanceof RefusedError ? inDoubt : wholeKernel);
      throw error;
    }
  }

  /** A rule was refused for a set that we made and somebody has destroyed: what has to be mended is not the rule. */
  #isStale(error: unknown): error is RefusedError & { readonly cause: CommandError } {
    if (!(error instanceof RefusedError) || !(error.cause instanceof CommandError)) return false;
    const [, missing = ''] = /^.*\bSet (\S+) doesn't exist/.exec(error.message) ?? [];
    return this.#observed.ipSets.has(missing);
  }
}

/** More is not left behind: the kernel walks through it at every change. */
const maxLeftovers = 500;

const everyTable = ipFamilies.flatMap((family) => tableNames.map((table) => ({ family, table })));

type Differences = Pick<WriteReport, 'differenceCount' | 'differences'>;

const none: Differences = { differenceCount: 0, differences: [] };

function isExpected(error: unknown): boolean {
  return error instanceof RefusedError || error instanceof CommandError;
}
