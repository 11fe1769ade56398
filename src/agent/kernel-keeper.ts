/** Brings updates into the kernel, compares from time to time, and remembers what is there. */
import type { ReadScope } from '../backends/backend.ts';
import { isNothing, nothing, unionOf } from '../backends/backend.ts';
import { wholeKernel } from '../backends/kernel-writer.ts';
import type { ResyncOptions, UpdateOptions } from '../backends/kernel-writer.ts';
import type { Inspection, WriteReport } from '../backends/write-report.ts';
import type { Compiler } from '../compile/compiler.ts';
import type { Dataplane, DataplaneDelta } from '../dataplane/dataplane.ts';
import type { ObservedDataplane, ObservedSet } from '../dataplane/observed.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { LatencySummary } from '../telemetry/recent-latencies.ts';
import { RecentLatencies } from '../telemetry/recent-latencies.ts';
import type { Update } from './desired-state.ts';
import type { Arrival } from './arrivals.ts';
import { oldestOf } from './arrivals.ts';
import type { DriftWatch } from './drift-watch.ts';
import type { Programmed } from './endpoint-status.ts';
import { programmedNow } from './endpoint-status.ts';
import { isEnvironmentFailure } from './failure.ts';

/** What is needed of the writer (backends/kernel-writer.ts). */
export interface DataplaneWriter {
  readAhead(): Promise<void>;
  resync(dataplane: Dataplane, options?: ResyncOptions): Promise<WriteReport>;
  update(delta: DataplaneDelta, dataplane: Dataplane, options?: UpdateOptions): Promise<WriteReport>;
  tidy(dataplane: Dataplane, isSure: boolean): Promise<WriteReport>;
  inspectNext(dataplane: Dataplane, isSure?: boolean): Promise<Inspection>;
  /** The kernel had not yet let go of sets when they were to be destroyed: any update tries again. */
  readonly hasKeptSets: boolean;
  /** Updates have left behind what nothing reaches any more. */
  readonly hasLeftovers: boolean;
  /** What of it can be in the kernel, as far as is known. */
  possible(dataplane: Dataplane): Dataplane;
  /** As it was when last read or written. */
  readonly observed: Pick<ObservedDataplane, 'ipSets'>;
}

export interface KernelKeeperOptions {
  readonly writer: DataplaneWriter;
  /** Absent: drift is found by comparing everything. */
  readonly drift?: Pick<DriftWatch, 'look' | 'isFollowing'>;
  readonly clock: Clock;
  /** Wall clock, for what people read. */
  readonly now: () => Date;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Told what somebody else had changed, once it is mended: places, as the log names them. */
  readonly onRepair?: (places: readonly string[]) => void;
}

export class KernelKeeper {
  readonly #options: KernelKeeperOptions;
  /** What may not be as we left it. The first write reads the whole kernel by itself. */
  #doubtful: ReadScope = nothing;
  #isLookDue = false;
  #isTidyDue = false;
  #isFullCompareDue = false;
  /** How long the parts of the full compare under way have taken; absent: there is none. */
  #fullCompareMs: number | undefined;
  #hasWritten = false;
  /** A write has failed since the last success: what differs is our own unfinished work. */
  #isUnfinished = false;
  #waiting: readonly Arrival[] = [];
  #appliedRevision = 0;
  #programmed: Programmed = { endpoints: new Map(), since: new Map(), refused: [] };
  #lastUpdate: { readonly at: string; readonly durationMs: number } | undefined;
  #driftRepairs = 0;
  #lastCompareMs = 0;
  #lastFullCompareMs = 0;
  readonly #latencies = new RecentLatencies();

  constructor(options: KernelKeeperOptions) {
    this.#options = options;
  }

  /** Cluster revision that is in the kernel. */
  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  get programmed(): Programmed {
    return this.#programmed;
  }

  get lastUpdate(): { readonly at: string; readonly durationMs: number } | undefined {
    return this.#lastUpdate;
  }

  get driftRepairs(): number {
    return this.#driftRepairs;
  }

  /** From the arrival of a change to the kernel. */
  get programmingLatency(): LatencySummary | undefined {
    return this.#latencies.summary;
  }

  /** When the oldest change came in that is taken up but not in the kernel. */
  get oldestWaiting(): number | undefined {
    return oldestOf(this.#waiting.map(({ at }) => at));
  }

  /** Sets as the kernel has them, with the room that they were made with. */
  get ipSets(): ReadonlyMap<string, ObservedSet> {
    return this.#options.writer.observed.ipSets;
  }

  get lastCompareMs(): number {
    return this.#lastCompareMs;
  }

  /** Of all tables and sets, without what was written in between. */
  get lastFullCompareMs(): number {
    return this.#lastFullCompareMs;
  }

  /** This may not be as we left it: the next call of `bring` compares it. Everything is compared in parts, one at each call. */
  compareNext(scope: ReadScope = wholeKernel): void {
    if (isWhole(scope)) this.#isFullCompareDue = true;
    else this.#doubtful = unionOf(this.#doubtful, scope);
  }

  /** `bring` should be called again soon. */
  get isComparing(): boolean {
    return this.#isFullCompareDue || this.#fullCompareMs !== undefined;
  }

  /** The next call of `bring` takes a cheap look at what has no events. */
  lookNext(): void {
    this.#isLookDue = true;
  }

  /** Updates have left behind what nothing reaches any more. */
  get hasLeftovers(): boolean {
    return this.#options.writer.hasLeftovers;
  }

  /** The next call of `bring` takes it away. */
  tidyNext(): void {
    this.#isTidyDue = true;
  }

  /** Begins to read what the first `bring` needs. What fails then is told by that. */
  readAhead(): Promise<void> {
    return this.#options.writer.readAhead();
  }

  /** Writes the update, then compares what is in doubt. When it fails, the next call mends everything. */
  async bring(update: Update, { dataplane, endpoints }: Pick<Compiler, 'dataplane' | 'endpoints'>): Promise<void> {
    this.#waiting = [...this.#waiting, ...update.arrivals];
    const bound = new Map(endpoints);
    const doubtful = this.#doubtful;
    this.#doubtful = nothing;
    try {
      if (!this.#isUpToDate(update)) await this.#write(update, dataplane);
      if (this.#isTidyDue) await this.#tidy(dataplane, doubtful);
      const scope = unionOf(doubtful, await this.#look(dataplane));
      if (!isNothing(scope)) await this.#compare(dataplane, scope);
      await this.#compareOn(dataplane);
    } catch (error) {
      // The next call reads everything.
      this.#isUnfinished = true;
      this.#fullCompareMs = undefined;
      this.#doubtful = unionOf(this.#doubtful, doubtful);
      throw error;
    }
    this.#appliedRevision = update.revision;
    this.#programmed = { ...this.#programmed, ...programmedNow(this.#programmed, bound, this.#options.now()) };
    this.#observeLatencies();
  }

  #isUpToDate({ delta }: Update): boolean {
    return this.#hasWritten && !this.#isUnfinished && isEmpty(delta) && !this.#options.writer.hasKeptSets;
  }

  /** The same look beside the loop, which need not even be woken where all is well. What a write under way changes may be taken for drift. */
  async seesDrift(dataplane: Dataplane): Promise<boolean> {
    const { drift, writer } = this.#options;
    if (drift === undefined || !this.#hasWritten || this.#isUnfinished) return false;
    if (writer.hasKeptSets) return true;
    try {
      return !isNothing(await drift.look(writer.possible(dataplane)));
    } catch (error) {
      // The look of the loop fails as well, and there it is told.
      if (isEnvironmentFailure(error)) return true;
      throw error;
    }
  }

  async #look(dataplane: Dataplane): Promise<ReadScope> {
    const { drift, writer } = this.#options;
    if (!this.#isLookDue || drift === undefined) return nothing;
    this.#isLookDue = false;
    return drift.look(writer.possible(dataplane));
  }

  async #write(update: Update, dataplane: Dataplane): Promise<void> {
    const { logger, writer } = this.#options;
    const report = await (this.#isUnfinished
      ? writer.resync(dataplane)
      : writer.update(update.delta, dataplane, { isLeaving: true }));
    const kind = this.#hasWritten ? 'update' : 'first';
    this.#hasWritten = true;
    this.#isUnfinished = false;
    this.#record(report, kind);
    if (report.writes === 0) return;
    const { chainsWritten, chainsRemoved, setsWritten } = report;
    logger.info(
      {
        revision: update.revision,
        changes: update.changes,
        chains: chainsWritten + chainsRemoved,
        ipsets: setsWritten,
        durationMs: Math.round(report.durationMs),
      },
      'dataplane applied',
    );
  }

  /** Not where somebody has changed our rules: they are compared now, and the next call is sure again. */
  async #tidy(dataplane: Dataplane, doubtful: ReadScope): Promise<void> {
    const { writer, logger } = this.#options;
    this.#isTidyDue = false;
    if (!isNothing(doubtful) || !writer.hasLeftovers) return;
    const report = await writer.tidy(dataplane, this.#isSure);
    this.#record(report, 'tidy');
    const { chainsRemoved, setsWritten, durationMs } = report;
    logger.debug({ chains: chainsRemoved, ipsets: setsWritten, durationMs: Math.round(durationMs) }, 'tidied up');
  }

  /** Nobody has touched our rules, as far as is known: what he had done would be compared by now. */
  get #isSure(): boolean {
    return this.#options.drift?.isFollowing === true;
  }

  /** One part of a full compare. It ends however much comes in between: each call takes it further. */
  async #compareOn(dataplane: Dataplane): Promise<void> {
    if (!this.isComparing) return;
    this.#fullCompareMs ??= await this.#beginFullCompare(dataplane);
    const { scope, isLast, durationMs } = await this.#options.writer.inspectNext(dataplane, this.#isSure);
    const mendMs = isNothing(scope) ? 0 : await this.#compare(dataplane, scope);
    this.#fullCompareMs += durationMs + mendMs;
    if (!isLast) return;
    this.#lastFullCompareMs = this.#fullCompareMs;
    this.#options.metrics.applySeconds.observe({ kind: 'compare' }, this.#fullCompareMs / 1000);
    this.#fullCompareMs = undefined;
  }

  /** What the kernel refused gets another chance. Nothing is read for that. */
  async #beginFullCompare(dataplane: Dataplane): Promise<number> {
    this.#isFullCompareDue = false;
    return this.#programmed.refused.length === 0 ? 0 : this.#compare(dataplane, nothing);
  }

  /** What is found different now is somebody else's doing: the update is in. */
  async #compare(dataplane: Dataplane, scope: ReadScope): Promise<number> {
    const { writer, logger, metrics, onRepair } = this.#options;
    const retryRefused = this.#programmed.refused.length > 0;
    const report = await writer.resync(dataplane, { scope, retryRefused });
    if (!isNothing(scope)) this.#lastCompareMs = report.durationMs;
    if (isWhole(scope)) this.#lastFullCompareMs = report.durationMs;
    this.#record(report, 'compare');
    if (retryRefused || report.differences.length === 0) return report.durationMs;
    this.#driftRepairs += 1;
    metrics.driftRepairs.inc();
    for (const { place, before, after } of report.differences) {
      logger.warn({ part: 'drift', object: place, before, after }, 'drift was mended');
    }
    onRepair?.(report.differences.map(({ place }) => place));
    return report.durationMs;
  }

  #record(report: WriteReport, kind: 'first' | 'update' | 'compare' | 'tidy'): void {
    const { metrics, now } = this.#options;
    metrics.applySeconds.observe({ kind }, report.durationMs / 1000);
    this.#programmed = { ...this.#programmed, refused: report.refused };
    if (report.writes > 0) this.#lastUpdate = { at: now().toISOString(), durationMs: Math.round(report.durationMs) };
  }

  #observeLatencies(): void {
    const { metrics, clock } = this.#options;
    const now = clock.now();
    for (const { kind, at } of this.#waiting) {
      metrics.programmingSeconds.observe({ kind }, (now - at) / 1000);
      this.#latencies.add(now - at);
    }
    this.#waiting = [];
  }
}

function isEmpty({ ipSets, chains, hooks }: DataplaneDelta): boolean {
  return ipSets.length === 0 && chains.length === 0 && hooks.length === 0;
}

function isWhole({ tables, ipSets }: ReadScope): boolean {
  return ipSets && tables.length === wholeKernel.tables.length;
}
