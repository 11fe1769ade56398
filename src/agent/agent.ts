/** Follows the cluster and the node, and keeps the kernel as they want it. */
import type { Refusal } from '../backends/refusals.ts';
import { describeRefusal } from '../backends/refusals.ts';
import type { ClusterObject } from '../cluster/objects.ts';
import type { ClusterSource, ClusterState } from '../cluster/state.ts';
import type { CutView } from '../compile/cut.ts';
import type { Clock } from '../lib/clock.ts';
import type { DataplaneDelta } from '../dataplane/dataplane.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { formatDiagnostic } from '../lib/diagnostic.ts';
import { EventFlag } from '../lib/event-flag.ts';
import { sameValue } from '../lib/same-value.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import type { ServicePlan } from '../service/plan.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Readiness } from '../telemetry/readiness.ts';
import { oldestOf } from './arrivals.ts';
import { CutKeeper } from './cut-keeper.ts';
import type { MemberWriter, ReadConversations } from './cut-keeper.ts';
import { DesiredState } from './desired-state.ts';
import type { DesiredStateOptions } from './desired-state.ts';
import type { DriftWatch } from './drift-watch.ts';
import { DiagnosticLog } from './diagnostic-log.ts';
import { isEnvironmentFailure, messageOf } from './failure.ts';
import { findObject } from './find-object.ts';
import { KernelKeeper } from './kernel-keeper.ts';
import type { DataplaneWriter } from './kernel-keeper.ts';
import { Reconciler } from './reconciler.ts';
import { refusalDiagnostic } from './refusal-diagnostic.ts';
import type { ServiceKeeper } from './service-keeper.ts';

/** Tells the people who made an object what is wrong with it, where they look. */
export interface ObjectReporter {
  update(present: readonly Diagnostic[], find: (object: string) => ClusterObject | undefined): void;
  run(signal: AbortSignal): Promise<void>;
}

/** Tells the people of a node that another program changes what is enforced there, and that it was mended. */
export interface RepairReporter {
  repaired(node: ClusterObject, places: readonly string[]): void;
  run(signal: AbortSignal): Promise<void>;
}

export interface AgentParts extends DesiredStateOptions {
  readonly source: ClusterSource;
  /** Absent: log and /api have to do. */
  readonly reporter?: ObjectReporter;
  /** Absent: log and metric have to do. */
  readonly repairs?: RepairReporter;
  readonly writer: DataplaneWriter & MemberWriter;
  /** Absent: connections that policy has come to deny are left (`established: keep`). */
  readonly readConversations?: ReadConversations;
  /** Absent: Services are somebody else's. */
  readonly services?: ServiceKeeper;
  /** Asked before the first write, while cluster and node are read; rejects where the machine lacks something. */
  readonly checkMachine?: () => Promise<void>;
  /** Told whenever everything is in the kernel. */
  readonly onWritten?: () => void;
  readonly resyncSeconds: number;
  /** Absent: drift is found by the compare of every `resyncSeconds` alone. */
  readonly drift?: DriftWatch;
  readonly driftCheckSeconds?: number;
  /**
   * Default 2,000. A first write of more chains goes unwatched: to hear of each of our own rules costs as much as to write it. What
   * somebody else does meanwhile is found by the next compare.
   */
  readonly watchedChains?: number;
  readonly clock: Clock;
  /** Wall clock, for what people read. */
  readonly now: () => Date;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
}

/** Parts that /readyz names. */
export const readinessParts = ['source', 'node', 'kernel'] as const;

/** Failures in a row (about a minute) after which the agent ends. Its rules stay, and whoever started it starts it again. */
export const maxAttempts = 12;

/** After so long without a change of rules what is left behind is taken away, */
const calmMs = 1_000;
/** and after so long in any case. */
const latestTidyMs = 10_000;

export interface Failure {
  readonly at: string;
  readonly message: string;
}

export class Agent {
  readonly desired: DesiredState;
  readonly kernel: KernelKeeper;
  readonly #parts: AgentParts;
  readonly #reconciler: Reconciler;
  readonly #diagnosticLog: DiagnosticLog;
  readonly #cuts: CutKeeper | undefined;
  readonly #rulesChanged = new EventFlag();
  readonly #changedTables = new Set<TableName>();
  readonly #leftBehind = new EventFlag();
  #lastRulesAt = 0;
  /** What others do to the rules can be told apart from what the first write does. */
  readonly #rulesMayBeFollowed = new EventFlag();
  #diagnostics: readonly Diagnostic[] = [];
  /** What the objects were last told. */
  #reported: readonly Diagnostic[] = [];
  #failures = 0;
  #lastFailure: Failure | undefined;

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.desired = new DesiredState(parts);
    this.kernel = new KernelKeeper({ ...parts, onRepair: (places) => this.#tellRepair(places) });
    this.#diagnosticLog = new DiagnosticLog(parts.logger);
    this.#cuts = this.#cutKeeper(parts);
    this.#reconciler = new Reconciler({
      clock: parts.clock,
      collectMs: 1,
      minBackoffMs: 100,
      maxBackoffMs: 10_000,
      reconcile: () => this.#reconcile(),
      onFailure: (error, attempt, pauseMs) => this.#onFailure(error, attempt, pauseMs),
    });
  }

  get state(): ClusterState {
    return this.desired.store;
  }

  /** Everything that is wrong at present. */
  get diagnostics(): readonly Diagnostic[] {
    return [...this.#diagnostics, ...(this.#parts.services?.diagnostics ?? [])];
  }

  /** Whether what was decided about Services comes into the kernel; undefined: Services are somebody else's. */
  get servesServicesWell(): boolean | undefined {
    return this.#parts.services?.isHealthy;
  }

  /** Age of the oldest change that is not in the kernel; 0: there is none. */
  get oldestPendingMs(): number {
    const oldest = oldestOf([this.desired.oldestArrival, this.kernel.oldestWaiting]);
    return oldest === undefined ? 0 : this.#parts.clock.now() - oldest;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Absent where the last run succeeded. */
  get lastFailure(): Failure | undefined {
    return this.#lastFailure;
  }

  /** Until `signal` aborts; the rules stay. Rejects when a part fails for good. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const tasks = [
      this.#followSource(both),
      this.#followNode(both),
      this.#compareNowAndThen(both),
      this.#followRules(both),
      this.#compareChanged(both),
      this.#lookNowAndThen(both),
      this.#tidyWhenCalm(both),
      this.#reconciler.run(both),
      ...(this.#cuts === undefined ? [] : [this.#cuts.run(both)]),
      ...(this.#parts.services === undefined ? [] : [this.#parts.services.run(both)]),
      ...[this.#parts.reporter, this.#parts.repairs].flatMap((told) => (told === undefined ? [] : [told.run(both)])),
    ];
    try {
      await Promise.all(tasks);
    } finally {
      stop.abort();
      await Promise.allSettled(tasks);
    }
  }

  /** Beside the node. The trials of the check must not be read; what fails here the loop meets as well, and tells. */
  async #readAhead(): Promise<void> {
    try {
      await this.#parts.checkMachine?.();
      await this.kernel.readAhead();
    } catch (error) {
      this.#parts.logger.debug({ part: 'kernel', err: error }, 'the kernel was not read ahead');
    }
  }

  /** One run of the loop: what came since the last one goes into the kernel. */
  async #reconcile(): Promise<void> {
    const { readiness, metrics } = this.#parts;
    if (!this.desired.isSynced) return;
    if (this.desired.compiler === undefined) void this.#readAhead();
    const update = await this.desired.next();
    readiness.ready('node');
    metrics.compileSeconds.observe(update.compileMs / 1000);
    const { compiler } = this.desired;
    if (compiler === undefined) throw new Error('an update has a compiler');
    const { driftRepairs } = this.kernel;
    this.#cuts?.note(update.delta);
    await this.#noteServices(update.services);
    const { checkMachine, watchedChains = 2_000 } = this.#parts;
    await checkMachine?.();
    if (update.delta.chains.length <= watchedChains) this.#rulesMayBeFollowed.raise();
    try {
      await this.kernel.bring(update, compiler);
      this.#noteLeftovers(update.delta);
      this.#rulesMayBeFollowed.raise();
    } finally {
      this.#publish([...update.diagnostics, ...this.kernel.programmed.refused.map(refusalDiagnostic)]);
    }
    this.#cuts?.written(this.kernel.driftRepairs !== driftRepairs);
    this.#servicesWritten();
    const [open] = this.kernel.programmed.refused.filter(isFelt);
    if (open === undefined) readiness.ready('kernel');
    else readiness.unready('kernel', `the kernel refused ${describeRefusal(open)}`);
    this.#lastFailure = undefined;
    this.#parts.onWritten?.();
    // What came meanwhile is written before the next part of it.
    if (this.kernel.isComparing) this.#reconciler.markDirty();
  }

  async #noteServices(changed: Iterable<string>): Promise<void> {
    const served = this.#served();
    if (served !== undefined) await this.#parts.services?.note(changed, served.plan, served.node);
  }

  #servicesWritten(): void {
    const served = this.#served();
    if (served !== undefined) this.#parts.services?.written(served.plan, served.node);
  }

  /** What is decided about Services, and for which node; undefined: they are somebody else's. */
  #served(): { readonly plan: ServicePlan; readonly node: NodePortOptions } | undefined {
    const { servicePlan: plan } = this.desired.compiler ?? {};
    const { options, facts } = this.desired.compilerInput ?? {};
    if (plan === undefined || options?.services === undefined || facts === undefined) return undefined;
    return { plan, node: { ...options.services, nodeAddresses: facts.nodeAddresses } };
  }

  #cutKeeper({ readConversations, ...parts }: AgentParts): CutKeeper | undefined {
    if (readConversations === undefined) return undefined;
    const view = (): CutView | undefined => {
      const { compiler, compilerInput } = this.desired;
      if (compiler === undefined || compilerInput === undefined) return undefined;
      const { dataplane, endpoints } = compiler;
      return { dataplane, endpoints, nodeAddresses: compilerInput.facts.nodeAddresses };
    };
    return new CutKeeper({ ...parts, readConversations, view });
  }

  async #followSource(signal: AbortSignal): Promise<void> {
    await forEach(this.#parts.source.watch(signal), (batch) => {
      this.desired.take(batch);
      if (this.desired.isSynced) this.#parts.readiness.ready('source');
      else this.#waitForSource();
      this.#reconciler.markDirty();
    });
  }

  /** Nothing is written yet: what keeps the source from being complete is all there is to tell. */
  #waitForSource(): void {
    const { sourceDiagnostics } = this.desired;
    const [why] = sourceDiagnostics.filter(({ severity }) => severity === 'error');
    this.#parts.readiness.unready('source', why === undefined ? 'not complete yet' : formatDiagnostic(why));
    this.#publish(sourceDiagnostics);
  }

  async #followNode(signal: AbortSignal): Promise<void> {
    await forEach(this.#parts.node.changes(signal), () => {
      this.desired.nodeChanged();
      this.#reconciler.markDirty();
    });
  }

  async #compareNowAndThen(signal: AbortSignal): Promise<void> {
    const { resyncSeconds } = this.#parts;
    while (!signal.aborted) {
      // A compare that takes long comes more rarely: it may cost a hundredth of the time.
      await this.#rest(() => Math.max(resyncSeconds * 1000, this.kernel.lastFullCompareMs * 100), signal);
      this.kernel.compareNext();
      this.#reconciler.markDirty();
    }
  }

  async #followRules(signal: AbortSignal): Promise<void> {
    const { drift } = this.#parts;
    if (drift === undefined || !(await this.#rulesMayBeFollowed.next(signal))) return;
    await forEach(drift.changes(signal), (tables) => {
      for (const table of tables) this.#changedTables.add(table);
      this.#rulesChanged.raise();
    });
  }

  /** Somebody who writes all the time makes us compare for a tenth of the time, not for all of it. */
  async #compareChanged(signal: AbortSignal): Promise<void> {
    while (await this.#rulesChanged.next(signal)) {
      this.#rulesChanged.lower();
      this.kernel.compareNext({ tables: [...this.#changedTables], ipSets: false });
      this.#changedTables.clear();
      this.#reconciler.markDirty();
      await this.#rest(() => Math.max(this.kernel.lastCompareMs * 10, 100), signal);
    }
  }

  #noteLeftovers({ chains }: DataplaneDelta): void {
    if (chains.length > 0) this.#lastRulesAt = this.#parts.clock.now();
    if (this.kernel.hasLeftovers) this.#leftBehind.raise();
  }

  /** What others have just changed is compared first; after that the loop raises the flag again. */
  async #tidyWhenCalm(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (await this.#leftBehind.next(signal)) {
      this.#leftBehind.lower();
      const latest = clock.now() + latestTidyMs;
      const leftMs = (): number => Math.min(this.#lastRulesAt + calmMs, latest) - clock.now();
      for (let left = leftMs(); left > 0 && !signal.aborted; left = leftMs()) await clock.sleep(left, signal);
      if (!this.kernel.hasLeftovers || this.#changedTables.size > 0) continue;
      // Sets go a second after the rules that referred to them.
      this.#lastRulesAt = clock.now();
      this.kernel.tidyNext();
      this.#reconciler.markDirty();
    }
  }

  /** How long to rest is known when the compare has ended, which was only asked for when the rest began. */
  async #rest(leastMs: () => number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const started = clock.now();
    for (let left = leastMs(); left > 0 && !signal.aborted; left = started + leastMs() - clock.now())
      await clock.sleep(left, signal);
  }

  /** The loop is woken where something is seen: for all that it does, a node at rest would pay every few seconds. */
  async #lookNowAndThen(signal: AbortSignal): Promise<void> {
    const { clock, drift, driftCheckSeconds, node, services } = this.#parts;
    if (drift === undefined || driftCheckSeconds === undefined) return;
    while (!signal.aborted) {
      await clock.sleep(driftCheckSeconds * 1000, signal);
      await node.checkSettings?.();
      services?.checkSettings();
      if (!sameValue(this.diagnostics, this.#reported)) this.#report();
      const dataplane = this.desired.compiler?.dataplane;
      if (dataplane === undefined || !(await this.kernel.seesDrift(dataplane))) continue;
      this.kernel.lookNext();
      this.#reconciler.markDirty();
    }
  }

  #publish(diagnostics: readonly Diagnostic[]): void {
    this.#diagnostics = diagnostics;
    this.#diagnosticLog.update(diagnostics);
    this.#report();
  }

  /** On the objects themselves, also what is found out beside the loop: a health check without a socket. */
  #report(): void {
    this.#reported = this.diagnostics;
    this.#parts.reporter?.update(this.#reported, (object) => findObject(this.state, object));
  }

  #tellRepair(places: readonly string[]): void {
    const node = this.state.nodes.get(this.#parts.nodeName);
    if (node !== undefined) this.#parts.repairs?.repaired(node, places);
  }

  #onFailure(error: unknown, attempt: number, retryInMs: number): void {
    const { logger, metrics, readiness, now } = this.#parts;
    if (!isEnvironmentFailure(error)) throw error;
    this.#failures += 1;
    metrics.reconcileErrors.inc();
    this.#lastFailure = { at: now().toISOString(), message: messageOf(error) };
    const part = this.desired.compiler === undefined ? 'node' : 'kernel';
    readiness.unready(part, `${messageOf(error)} (${attempt} times in a row)`);
    if (attempt >= maxAttempts) throw error;
    logger.warn({ part, attempt, retryInMs, err: error }, 'update failed');
  }
}

/** More than one object suffers: what all packets pass, or are sent through, is not as it should be. */
function isFelt(refusal: Refusal): boolean {
  return refusal.kind === 'hook' || (refusal.kind === 'chain' && refusal.instead !== 'closed');
}

async function forEach<T>(items: AsyncIterable<T>, act: (item: T) => void): Promise<void> {
  for await (const item of items) act(item);
}
