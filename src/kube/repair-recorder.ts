/**
 * Writes an Event on the Node when what another program had changed was mended: the first at once, what follows gathered into one a
 * while, so that a quarrel with that program is a handful of Events an hour.
 */
import type { ClusterObject } from '../cluster/objects.ts';
import type { Clock } from '../lib/clock.ts';
import { EventFlag } from '../lib/event-flag.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { KubeClient } from './kube-client.ts';
import { repairEvent } from './object-event.ts';
import { postEvent } from './post-event.ts';

export interface RepairRecorderOptions {
  readonly client: Pick<KubeClient, 'json'>;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly now: () => Date;
  readonly logger: Logger;
}

const periodMs = 10 * 60_000;
/** As many as a note has room for; the log has all of them. */
const placesKept = 20;

export class RepairRecorder {
  readonly #options: RepairRecorderOptions;
  readonly #due = new EventFlag();
  readonly #places = new Set<string>();
  #repairs = 0;
  #node: ClusterObject | undefined;

  constructor(options: RepairRecorderOptions) {
    this.#options = options;
  }

  /** `places`: what was not as it should be, as the log names it. */
  repaired(node: ClusterObject, places: readonly string[]): void {
    this.#node = node;
    this.#repairs += 1;
    for (const place of places) if (this.#places.size < placesKept) this.#places.add(place);
    this.#due.raise();
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (await this.#due.next(signal)) {
      this.#due.lower();
      await this.#tell(signal);
      await this.#options.clock.sleep(periodMs, signal);
    }
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { client, nodeName, now, logger } = this.#options;
    if (this.#node === undefined) return;
    const [repairs, places] = [this.#repairs, [...this.#places]];
    const event = repairEvent(this.#node, noteOf(repairs, places), { nodeName, now: now() });
    this.#repairs = 0;
    this.#places.clear();
    const failure = await postEvent(client, event, signal);
    if (failure === undefined || signal.aborted) return;
    logger.warn({ part: 'events', message: failure.message, retryInMs: periodMs }, 'event was not written');
    this.#repairs += repairs;
    for (const place of places) this.#places.add(place);
    this.#due.raise();
  }
}

function noteOf(repairs: number, places: readonly string[]): string {
  const times = repairs === 1 ? 'once' : `${repairs} times`;
  return `another program changed what Sluice enforces, which was mended ${times}: ${places.join(', ')}`;
}
