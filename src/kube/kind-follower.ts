/** Follows one kind for as long as the agent runs: whatever fails, it goes on from where it was. */
import type { ClusterChange } from '../cluster/state.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { Backoff } from './backoff.ts';
import type { KubeClient } from './kube-client.ts';
import { KubeApiError, KubeConfigError } from './kube-api-error.ts';
import { linesOf } from './json-lines.ts';
import { ObjectReader } from './object-reader.ts';
import { failureMessage } from './failure-message.ts';
import type { Ask } from './reflector.ts';
import { Reflector } from './reflector.ts';
import { pageSize } from './resources.ts';
import type { Resource } from './resources.ts';

/** Times are shortened by tests. */
export interface FollowTimes {
  /** The API server ends a watch after this and up to twice as long. */
  readonly watchSeconds: number;
  /** Waits after failures grow from the first to the last. */
  readonly firstRetryMs: number;
  readonly maxRetryMs: number;
  /** Between tries of what only a person can mend, such as a missing permission. */
  readonly slowRetryMs: number;
}

export const followTimes: FollowTimes = {
  watchSeconds: 300,
  firstRetryMs: 200,
  maxRetryMs: 10_000,
  slowRetryMs: 10_000,
};

/** A watch that lasted for so long was a good one, whatever ended it. */
const steadyMs = 5000;
/** A watch that ends well before that, and brought nothing, is no way to follow anything. */
const shortestMs = 1000;
/** An API server learns of new kinds when it is upgraded. */
const absentRetryMs = 300_000;

/** What metrics count. */
export type FollowCount = 'list' | 'watch' | 'event' | 'error';

export interface FollowOptions {
  readonly client: Pick<KubeClient, 'open' | 'json' | 'server'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly times: FollowTimes;
  /** Absent: pods of every node are wanted whole. */
  readonly nodeName?: string;
  readonly count: (what: FollowCount, resource: Resource) => void;
  /** Something is new: changes, completeness or diagnostics. */
  readonly onNews: (changes: readonly ClusterChange[]) => void;
}

export class KindFollower {
  readonly resource: Resource;
  readonly #options: FollowOptions;
  readonly #reflector: Reflector;
  readonly #reader: ObjectReader;
  readonly #backoff: Backoff;
  /** Lists that had to be made because the version to go on from was too old. */
  readonly #relists: Backoff;
  #failure: KubeApiError | undefined;
  /** Grows with every failure, and when there is none any more. */
  #failures = 0;

  constructor(resource: Resource, options: FollowOptions) {
    const { random, times, nodeName } = options;
    this.resource = resource;
    this.#options = options;
    this.#reflector = new Reflector(resource.kind);
    this.#reader = new ObjectReader(resource, nodeName);
    const waits = { firstMs: times.firstRetryMs, maxMs: times.maxRetryMs, random };
    this.#backoff = new Backoff(waits);
    this.#relists = new Backoff(waits);
  }

  /** Everything of the kind is known, if perhaps not its latest state. */
  get isComplete(): boolean {
    return this.#reflector.isComplete;
  }

  has(key: string): boolean {
    return this.#reflector.has(key);
  }

  /** Differs when `diagnostics` or `isComplete` may do so. */
  get version(): string {
    return `${this.#reader.version} ${this.#failures} ${this.isComplete}`;
  }

  get diagnostics(): readonly Diagnostic[] {
    const { failureDiagnostic } = this;
    return [...(failureDiagnostic === undefined ? [] : [failureDiagnostic]), ...this.#reader.diagnostics];
  }

  /** A watch that broke once is nobody's concern: it is told when it does not come back. */
  get failureDiagnostic(): Diagnostic | undefined {
    if (this.#failure === undefined || (this.isComplete && this.#backoff.attempt < 2)) return undefined;
    const { server } = this.#options.client;
    const message = failureMessage(this.#failure, this.resource, { server });
    const outcome = this.isComplete
      ? 'what is known of them stays in force'
      : 'what should be protected is not known yet';
    return { severity: 'error', object: '', message: `${message}; ${outcome}` };
  }

  /** Until `signal` aborts. Rejects with what no waiting will mend. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#take(this.#reflector.ask, signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#options.clock.sleep(this.#fail(this.#passingFailure(error)), signal);
      }
    }
  }

  /** At the start, certificates that do not fit and a kubeconfig that cannot be used are for the person who starts us; later, they pass. */
  #passingFailure(error: unknown): KubeApiError {
    const isForPerson =
      error instanceof KubeConfigError || (error instanceof KubeApiError && error.failure === 'certificate');
    if (isForPerson && !this.isComplete) throw error;
    if (error instanceof KubeConfigError) {
      return new KubeApiError(error.message, { failure: 'unreachable', cause: error });
    }
    if (error instanceof KubeApiError) return error;
    throw error;
  }

  async #take(ask: Ask, signal: AbortSignal): Promise<void> {
    if (ask.kind === 'list') await this.#list(ask.continueToken, signal);
    else await this.#watch(ask.resourceVersion, signal);
  }

  /** No resourceVersion: the answer is as new as can be, also where an API server behind the same address is behind. */
  async #list(continueToken: string | undefined, signal: AbortSignal): Promise<void> {
    const { client, count, onNews } = this.#options;
    if (continueToken === undefined) count('list', this.resource);
    const query = {
      ...this.resource.selectors,
      limit: String(pageSize),
      ...(continueToken === undefined ? {} : { continue: continueToken }),
    };
    const answer = await client.json({ path: this.resource.path, query }, signal);
    const changes = this.#reflector.takePage(this.#reader.page(answer));
    this.#forgetFailure();
    this.#backoff.succeeded();
    if (this.#reflector.ask.kind === 'list') return;
    this.#reader.forgetProblems((key) => this.#reflector.has(key));
    onNews(changes);
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, clock, count } = this.#options;
    count('watch', this.resource);
    const started = clock.now();
    const query = {
      ...this.resource.selectors,
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion,
      timeoutSeconds: String(this.#watchSeconds()),
    };
    let events = 0;
    try {
      const body = await client.open({ path: this.resource.path, query }, signal);
      this.#forgetFailure();
      for await (const line of linesOf(body)) {
        events += 1;
        this.#takeLine(line);
      }
    } finally {
      if (clock.now() - started >= steadyMs) this.#steady();
    }
    if (events > 0 || clock.now() - started >= shortestMs) return;
    throw new KubeApiError('the API server ended the watch as soon as it began', { failure: 'failed' });
  }

  #takeLine(line: string): void {
    const { count, onNews } = this.#options;
    const { version } = this.#reader;
    const event = this.#reader.event(line);
    this.#steady();
    count('event', this.resource);
    if (event === undefined) return;
    const changes = this.#reflector.takeEvent(event);
    if (changes.length > 0 || this.#reader.version !== version) onNews(changes);
  }

  #steady(): void {
    this.#forgetFailure();
    this.#backoff.succeeded();
    this.#relists.succeeded();
  }

  #forgetFailure(): void {
    const wasTold = this.failureDiagnostic !== undefined;
    if (this.#failure !== undefined) this.#failures += 1;
    this.#failure = undefined;
    if (wasTold) this.#options.onNews([]);
  }

  /** Milliseconds to wait. */
  #fail(error: KubeApiError): number {
    const { count, onNews, times, random } = this.#options;
    if (error.failure === 'absent' && this.resource.isOptional === true) {
      onNews(this.#reflector.takeAbsence());
      return absentRetryMs;
    }
    if (error.failure === 'expired') return this.#startAgain();
    // A quiet kind or a dead connection, nobody can tell: waiting would only add to the silence.
    if (error.failure === 'silent') return 0;
    count('error', this.resource);
    this.#failure = error;
    this.#failures += 1;
    const pause = this.#backoff.failed();
    onNews([]);
    if (error.retryAfterMs !== undefined) return Math.max(error.retryAfterMs, pause);
    return isForPeople(error) ? Math.max(times.slowRetryMs * (0.5 + random() / 2), pause) : pause;
  }

  /** Too old to go on from: that is what lists are for, so the first is made at once; not so one after the other. */
  #startAgain(): number {
    this.#reflector.startAgain();
    const isFirst = this.#relists.attempt === 0;
    const pause = this.#relists.failed();
    return isFirst ? 0 : pause;
  }

  /** Spread, so that the watches of all agents do not end together. */
  #watchSeconds(): number {
    const { times, random } = this.#options;
    return Math.max(1, Math.round(times.watchSeconds * (1 + random())));
  }
}

function isForPeople({ failure }: KubeApiError): boolean {
  return failure === 'forbidden' || failure === 'absent' || failure === 'unauthorized' || failure === 'certificate';
}
