/**
 * Ends open connections that policy has come to deny, after the change is in the kernel and beside the loop that writes
 * it: one dump of conntrack finds them, one ipset restore cuts them (netfilter-facts A1: deleting their entries would not).
 */
import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { TrackedConversations } from '../backends/conntrack/conversations.ts';
import type { WriteReport } from '../backends/write-report.ts';
import { cutSet } from '../compile/base/base-input.ts';
import { CutJudge } from '../compile/cut.ts';
import type { CutView } from '../compile/cut.ts';
import { parseConversationMember } from '../dataplane/conversation.ts';
import type { Conversation } from '../dataplane/conversation.ts';
import type { DataplaneDelta } from '../dataplane/dataplane.ts';
import { ipFamilies } from '../dataplane/dataplane.ts';
import type { ObservedDataplane } from '../dataplane/observed.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { Clock } from '../lib/clock.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Readiness } from '../telemetry/readiness.ts';
import { isEnvironmentFailure, messageOf } from './failure.ts';
import { mayDeny } from './may-deny.ts';
import { Reconciler } from './reconciler.ts';

/** The open connections that have an end among `touching`. */
export type ReadConversations = (touching: ReadonlySet<IpAddress>) => Promise<TrackedConversations>;

/** What is needed of the writer (backends/kernel-writer.ts). */
export interface MemberWriter {
  readonly observed: Pick<ObservedDataplane, 'ipSets'>;
  changeMembers(
    set: IpSet,
    change: { readonly add: readonly string[]; readonly remove: readonly string[] },
  ): Promise<WriteReport>;
}

export interface CutKeeperOptions {
  /** What should be in the kernel at the moment; absent before the first update. */
  readonly view: () => CutView | undefined;
  readonly readConversations: ReadConversations;
  readonly writer: MemberWriter;
  /** How often to look for cut connections that are gone. */
  readonly resyncSeconds: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
}

/** Name of the readiness part. */
export const cutPart = 'connections';

/** Changes often come in several updates shortly one after the other, so the first pause between rounds is short; it doubles. */
const pauseMs = { first: 100, longest: 500 } as const;
/** After so long without a round the next pause is a first one. */
const restMs = 2000;
/** So many are judged before others get their turn: about 5 ms. */
const judgedAtOnce = 250;

export class CutKeeper {
  readonly #options: CutKeeperOptions;
  readonly #rounds: Reconciler;
  /** In the update that is being written. */
  readonly #noted = { denial: false, change: false };
  /** What the next round is for, beyond letting go of what is allowed again. */
  readonly #due = { dump: false, sweep: false };
  /** Cut, but not tracked any more when last swept. */
  readonly #missing = new Map<IpFamily, ReadonlySet<string>>();
  /** Families in which the last dump had something to cut. */
  readonly #denied = new Set<IpFamily>();
  #hasCut = false;
  #lastRound = { endedAt: Number.NEGATIVE_INFINITY, pauseMs: 0 };
  #signal = AbortSignal.abort();

  constructor(options: CutKeeperOptions) {
    this.#options = options;
    this.#rounds = new Reconciler({
      clock: options.clock,
      collectMs: 0,
      minBackoffMs: 500,
      maxBackoffMs: 10_000,
      reconcile: () => this.#round(),
      onFailure: (error, attempt, retryInMs) => this.#onFailure(error, attempt, retryInMs),
    });
  }

  /** An update is about to be written. */
  note(delta: DataplaneDelta): void {
    this.#noted.denial ||= mayDeny(delta);
    this.#noted.change = true;
  }

  /** Everything noted is in the kernel. `isMended`: what was there before was not ours, so anything may have got through. */
  written(isMended: boolean): void {
    const { denial, change } = this.#noted;
    Object.assign(this.#noted, { denial: false, change: false });
    this.#due.dump ||= denial || isMended;
    if (this.#due.dump || (change && this.#hasCut)) this.#rounds.markDirty();
  }

  /** Until `signal` aborts; what is cut stays cut. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#options.readiness.ready(cutPart);
    await Promise.all([this.#rounds.run(signal), this.#sweepNowAndThen(signal)]);
  }

  async #sweepNowAndThen(signal: AbortSignal): Promise<void> {
    const { clock, resyncSeconds } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(resyncSeconds * 1000, signal);
      if (!this.#hasCut) continue;
      this.#due.sweep = true;
      this.#rounds.markDirty();
    }
  }

  async #round(): Promise<void> {
    const { clock, readiness } = this.#options;
    const started = clock.now();
    const due = { ...this.#due };
    Object.assign(this.#due, { dump: false, sweep: false });
    try {
      const subjects = await this.#releaseAll();
      if (subjects.size > 0 && (due.dump || due.sweep)) {
        // It may be about to: what is allowed meanwhile wants a round of its own.
        this.#hasCut = true;
        const tracked = await this.#options.readConversations(subjects);
        await inBoth((family) => this.#cutAndSweep(family, tracked, { ...due, started }));
      }
    } catch (error) {
      this.#due.dump ||= due.dump;
      this.#due.sweep ||= due.sweep;
      throw error;
    }
    this.#hasCut = ipFamilies.some((family) => this.#denied.has(family) || this.#heldOf(family).size > 0);
    readiness.ready(cutPart);
    if (due.dump || due.sweep) await clock.sleep(this.#pauseAfter(started), this.#signal);
  }

  /** Rounds take at most half of the time, however large the table. */
  #pauseAfter(started: number): number {
    const now = this.#options.clock.now();
    const isFirst = started - this.#lastRound.endedAt > restMs;
    const next = isFirst ? pauseMs.first : Math.min(this.#lastRound.pauseMs * 2, pauseMs.longest);
    this.#lastRound = { endedAt: now, pauseMs: next };
    return Math.max(next, now - started);
  }

  async #cutAndSweep(
    family: IpFamily,
    all: TrackedConversations,
    { started, sweep }: { readonly started: number; readonly sweep: boolean },
  ): Promise<void> {
    const tracked = new Map([...all].filter(([, conversation]) => conversation.family === family));
    await this.#cut(family, tracked, started);
    if (sweep) await this.#sweep(family, tracked);
  }

  /** Answers whose connections can be denied at all. */
  async #releaseAll(): Promise<ReadonlySet<IpAddress>> {
    const subjects = await inBoth((family) => this.#release(family));
    return new Set(subjects.flatMap((ofFamily) => [...ofFamily]));
  }

  /** Lets go of what policy allows again: needs no dump. Answers as `#releaseAll` does. */
  async #release(family: IpFamily): Promise<ReadonlySet<IpAddress>> {
    const judge = this.#judge();
    if (judge === undefined) return new Set();
    const held = [...this.#heldOf(family)];
    const denied = await deniedOf(
      judge,
      held.map((member) => [member, parseConversationMember(member)] as const),
    );
    const remove = held.filter((member) => !denied.has(member));
    if (remove.length > 0) {
      await this.#change(family, { add: [], remove });
      this.#options.logger.info({ ipFamily: family, members: remove.length }, 'connections were let go again');
    }
    const subjects = new Set([...judge.subjects].filter((address) => familyOf(address) === family));
    if (subjects.size === 0) this.#denied.delete(family);
    return subjects;
  }

  /** Judged by the rules as they are after the dump: they may have changed meanwhile. */
  async #cut(family: IpFamily, tracked: TrackedConversations, started: number): Promise<void> {
    const judge = this.#judge();
    if (judge === undefined) return;
    const { logger, metrics, clock } = this.#options;
    const denied = await deniedOf(judge, tracked);
    if (denied.size > 0) this.#denied.add(family);
    else this.#denied.delete(family);
    const held = this.#heldOf(family);
    const add = [...denied].filter((member) => !held.has(member));
    if (add.length === 0) return;
    await this.#change(family, { add, remove: [] });
    const connections = add.reduce((sum, member) => sum + (tracked.get(member)?.connections ?? 0), 0);
    metrics.connectionsCut.inc(connections);
    const durationMs = Math.round(clock.now() - started);
    logger.info({ ipFamily: family, connections, members: add.length, durationMs }, 'connections were cut');
  }

  /** A dump may miss an entry while the table changes, so what is cut goes only when it was missed twice. */
  async #sweep(family: IpFamily, tracked: TrackedConversations): Promise<void> {
    const missing = new Set([...this.#heldOf(family)].filter((member) => !tracked.has(member)));
    const before = this.#missing.get(family);
    this.#missing.set(family, missing);
    const remove = [...missing].filter((member) => before?.has(member) === true);
    if (remove.length > 0) await this.#change(family, { add: [], remove });
  }

  #judge(): CutJudge | undefined {
    const view = this.#options.view();
    return view === undefined ? undefined : new CutJudge(view);
  }

  /** In the kernel, as far as the writer knows: also what an agent before us cut. */
  #heldOf(family: IpFamily): ReadonlySet<string> {
    return this.#options.writer.observed.ipSets.get(cutSet(family))?.members ?? new Set();
  }

  async #change(
    family: IpFamily,
    change: { readonly add: readonly string[]; readonly remove: readonly string[] },
  ): Promise<void> {
    const set = this.#options.view()?.dataplane.ipSets.get(cutSet(family));
    if (set !== undefined) await this.#options.writer.changeMembers(set, change);
  }

  #onFailure(error: unknown, attempt: number, retryInMs: number): void {
    if (!isEnvironmentFailure(error)) throw error;
    const { logger, readiness } = this.#options;
    readiness.unready(cutPart, `connections that policy denies are not cut: ${messageOf(error)}`);
    logger.warn({ part: cutPart, attempt, retryInMs, err: error }, 'cutting of connections failed');
  }
}

/** Side by side; the first failure counts when both have ended. */
async function inBoth<T>(act: (family: IpFamily) => Promise<T>): Promise<readonly T[]> {
  const results = await Promise.allSettled(ipFamilies.map(act));
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/** In turns, for there may be thousands. What no connection can be is not denied. */
async function deniedOf(
  judge: CutJudge,
  entries: Iterable<readonly [member: string, conversation: Conversation | undefined]>,
): Promise<ReadonlySet<string>> {
  const denied = new Set<string>();
  let judged = 0;
  for (const [member, conversation] of entries) {
    if (conversation !== undefined && judge.isDenied(conversation)) denied.add(member);
    judged += 1;
    if (judged % judgedAtOnce === 0) await letOthersRun();
  }
  return denied;
}
