/** Writes Events on objects that are refused: one for each object and what is wrong with it, seldom, and never in anybody's way. */
import type { ClusterObject } from '../cluster/objects.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { EventFlag } from '../lib/event-flag.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubeClient } from './kube-client.ts';
import type { ObjectEvent } from './object-event.ts';
import { notesOf, objectEvent } from './object-event.ts';
import { postEvent } from './post-event.ts';

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'json'>;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly now: () => Date;
  readonly logger: Logger;
  /** Between two Events, once the first few are written. Default 5 s. */
  readonly pauseMs?: number;
}

/** So many may follow at once; then one a pause. */
const burst = 10;
/** More than that are not remembered: the log and /api have all of them. */
const pendingLimit = 500;
/** The API server forgets Events after an hour. */
const againMs = 45 * 60_000;
/** After a refusal: events may be forbidden on purpose. */
const refusedMs = 10 * 60_000;

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #due = new EventFlag();
  /** By `Kind namespace/name`. */
  #notes: ReadonlyMap<string, string> = new Map();
  #pending = new Map<string, ObjectEvent>();
  /** Name of each Event of what is wrong now, and when it was written. */
  #written = new Map<string, number>();
  #tokens = burst;
  #refilledAt: number;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#refilledAt = options.clock.now();
  }

  /** `present`: all that is wrong now. `find`: the object behind `Kind namespace/name`. */
  update(present: readonly Diagnostic[], find: (object: string) => ClusterObject | undefined): void {
    const notes = notesOf(present);
    if (notes.size === 0 && this.#notes.size === 0) return;
    this.#notes = notes;
    const { nodeName, clock } = this.#options;
    const now = this.#options.now();
    const [pending, written] = [new Map<string, ObjectEvent>(), new Map<string, number>()];
    for (const [name, note] of notes) {
      const object = find(name);
      if (object === undefined) continue;
      const event = objectEvent(object, note, { nodeName, now });
      const at = this.#written.get(event.name);
      if (at !== undefined && clock.now() - at < againMs) written.set(event.name, at);
      else if (pending.size < pendingLimit) pending.set(event.name, event);
    }
    this.#pending = pending;
    this.#written = written;
    if (pending.size > 0) this.#due.raise();
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (await this.#due.next(signal)) {
      const [first] = this.#pending.values();
      if (first === undefined) {
        this.#due.lower();
        continue;
      }
      await this.#options.clock.sleep(this.#waitForToken(), signal);
      if (!signal.aborted && this.#pending.has(first.name)) await this.#write(first, signal);
    }
  }

  async #write(event: ObjectEvent, signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    const failure = await postEvent(client, event, signal);
    if (signal.aborted) return;
    if (failure !== undefined) {
      logger.warn({ part: 'events', message: failure.message, retryInMs: refusedMs }, 'event was not written');
      await clock.sleep(refusedMs, signal);
      return;
    }
    this.#pending.delete(event.name);
    this.#written.set(event.name, clock.now());
  }

  /** Milliseconds until the next Event may be written, which is taken to be then. */
  #waitForToken(): number {
    const { clock, pauseMs = 5000 } = this.#options;
    const gained = Math.floor((clock.now() - this.#refilledAt) / pauseMs);
    this.#tokens = Math.min(burst, this.#tokens + gained);
    this.#refilledAt += gained * pauseMs;
    if (this.#tokens === 0) return pauseMs;
    this.#tokens -= 1;
    return 0;
  }
}
