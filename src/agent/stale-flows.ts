/** Ends tracked UDP flows of Services that lead nowhere any more: beside the loop that writes, one dump for a burst of changes. */
import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { Conntrack, FlowFilter } from '../backends/conntrack/conntrack.ts';
import type { Clock } from '../lib/clock.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { PlannedPort, PlannedService } from '../service/plan.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import type { UdpFrontends } from '../service/udp-flows.ts';
import { isStaleFlow, mayLeaveFlows, udpFrontends, udpPortsOf } from '../service/udp-flows.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { FrontendMemory } from './frontend-memory.ts';
import { isEnvironmentFailure } from './failure.ts';
import { Reconciler } from './reconciler.ts';

export interface StaleFlowsOptions {
  readonly conntrack: Pick<Conntrack, 'visitFlows' | 'delete'>;
  readonly families: readonly IpFamily[];
  readonly frontendMemory: Pick<FrontendMemory, 'read' | 'remember'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Endpoints that go together are often told one by one. */
const collectMs = 100;
/** Rounds begin so far apart, and take at most half of the time. */
const roundEveryMs = 500;

export class StaleFlows {
  readonly #options: StaleFlowsOptions;
  readonly #rounds: Reconciler;
  /** UDP ports in the kernel, by Service; those without are left out. */
  readonly #ports = new Map<string, readonly PlannedPort[]>();
  /** Frontends that were in the kernel before, and were not looked at since. */
  #former = new Set<string>();
  /** Those that the round at work looks at. */
  #inHand: ReadonlySet<string> = new Set();
  /** Of the update that is being written. */
  readonly #coming = new Set<string>();
  #isFirst = true;
  #node: NodePortOptions = { nodePortAddresses: [], localhostNodePorts: false, nodeAddresses: [] };
  #frontends: UdpFrontends | undefined;
  #recalled: Promise<void> | undefined;
  /** As the memory has it. */
  #remembered: ReadonlySet<string> = new Set();
  #remembering = Promise.resolve();
  #signal = AbortSignal.abort();

  constructor(options: StaleFlowsOptions) {
    this.#options = options;
    this.#rounds = new Reconciler({
      clock: options.clock,
      collectMs,
      minBackoffMs: 500,
      maxBackoffMs: 30_000,
      reconcile: () => this.#round(),
      onFailure: (error, attempt, retryInMs) => this.#onFailure(error, attempt, retryInMs),
    });
  }

  /**
   * These Services are about to be written. What is new among their frontends is remembered first: an agent may die at any
   * moment after the kernel has them, and whoever comes after it must know whose flows these were.
   */
  async note(services: Iterable<PlannedService | undefined>, node: NodePortOptions): Promise<void> {
    const coming = udpFrontends([...services].flatMap(udpPortsOf), node);
    if (coming.size === 0) return;
    for (const frontend of coming.keys()) this.#coming.add(frontend);
    await this.#recall();
    if ([...coming.keys()].some((frontend) => !this.#remembered.has(frontend))) await this.#remember();
  }

  /** These Services are in the kernel like this now; undefined: gone. */
  written(
    services: Iterable<readonly [key: string, planned: PlannedService | undefined]>,
    node: NodePortOptions,
  ): void {
    this.#node = node;
    this.#frontends = undefined;
    this.#coming.clear();
    // What an agent before this one served may be gone.
    if (this.#isFirst) this.#rounds.markDirty();
    this.#isFirst = false;
    for (const [key, planned] of services) {
      const before = this.#ports.get(key) ?? [];
      const after = udpPortsOf(planned);
      if (after.length === 0) this.#ports.delete(key);
      else this.#ports.set(key, after);
      if (!mayLeaveFlows(before, after, node)) continue;
      for (const frontend of udpFrontends(before, node).keys()) this.#former.add(frontend);
      this.#rounds.markDirty();
    }
  }

  /** Until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    return this.#rounds.run(signal);
  }

  async #round(): Promise<void> {
    const { clock, families } = this.#options;
    const started = clock.now();
    await this.#recall();
    const former = this.#former;
    this.#former = new Set();
    this.#inHand = former;
    try {
      for (const family of families) await this.#clean(family, former);
    } catch (error) {
      this.#former = new Set([...this.#former, ...former]);
      throw error;
    } finally {
      this.#inHand = new Set();
    }
    await this.#remember();
    const tookMs = clock.now() - started;
    await clock.sleep(Math.max(roundEveryMs - tookMs, tookMs), this.#signal);
  }

  /** What an agent before this one served may have gone since. */
  #recall(): Promise<void> {
    this.#recalled ??= this.#options.frontendMemory.read().then((frontends) => {
      this.#remembered = new Set(frontends);
      for (const frontend of frontends) this.#former.add(frontend);
    });
    return this.#recalled;
  }

  /** One write at a time, each of what is true when it begins. */
  #remember(): Promise<void> {
    this.#remembering = this.#remembering.then(() => this.#rememberNow());
    return this.#remembering;
  }

  /** Whatever is, may be in a moment, or was and still has flows. */
  async #rememberNow(): Promise<void> {
    const known = [...this.#currentFrontends().keys(), ...this.#coming, ...this.#former, ...this.#inHand];
    const frontends = new Set(known.sort());
    if ([...frontends].join() === [...this.#remembered].join()) return;
    try {
      await this.#options.frontendMemory.remember([...frontends]);
      this.#remembered = frontends;
    } catch (error) {
      // A full disk is no reason to leave flows alone; the next round tries again.
      this.#options.logger.warn({ part: 'services', err: error }, 'udp frontends were not remembered');
    }
  }

  /** Each deletion walks the whole table, so flows of one frontend to one server go together. */
  async #clean(family: IpFamily, former: ReadonlySet<string>): Promise<void> {
    const { conntrack, clock, logger, metrics } = this.#options;
    const known = [...this.#currentFrontends().keys(), ...former];
    if (!known.some((frontend) => frontend.startsWith('[') === (family === 'ipv6'))) return;
    const started = clock.now();
    let deleted = 0;
    for (const filter of await this.#findStale(family, former)) {
      // The endpoint may have come back since the dump.
      if (isStaleFlow(flowOf(filter), this.#currentFrontends(), former)) deleted += await conntrack.delete(filter);
      await letOthersRun();
    }
    if (deleted === 0) return;
    metrics.staleFlows.inc(deleted);
    const durationMs = Math.round(clock.now() - started);
    logger.info({ part: 'services', ipFamily: family, connections: deleted, durationMs }, 'stale udp flows were ended');
  }

  async #findStale(family: IpFamily, former: ReadonlySet<string>): Promise<Iterable<StaleFilter>> {
    const frontends = this.#currentFrontends();
    const found = new Map<string, StaleFilter>();
    await this.#options.conntrack.visitFlows(family, 'udp', ({ original, reply }) => {
      const { destination, destinationPort } = original;
      const { source: server, sourcePort: serverPort } = reply;
      if (destinationPort === undefined || serverPort === undefined) return;
      if (!isStaleFlow({ destination, destinationPort, server, serverPort }, frontends, former)) return;
      found.set(`${destination} ${destinationPort} ${server} ${serverPort}`, {
        family,
        protocol: 'udp',
        originalDestination: destination,
        originalDestinationPort: destinationPort,
        replySource: server,
        replySourcePort: serverPort,
      });
    });
    return found.values();
  }

  #currentFrontends(): UdpFrontends {
    this.#frontends ??= udpFrontends([...this.#ports.values()].flat(), this.#node);
    return this.#frontends;
  }

  #onFailure(error: unknown, attempt: number, retryInMs: number): void {
    if (!isEnvironmentFailure(error)) throw error;
    this.#options.logger.warn({ part: 'services', attempt, retryInMs, err: error }, 'stale udp flows were not ended');
  }
}

type StaleFilter = Required<Omit<FlowFilter, 'originalSource' | 'originalSourcePort'>>;

function flowOf(filter: StaleFilter) {
  return {
    destination: filter.originalDestination,
    destinationPort: filter.originalDestinationPort,
    server: filter.replySource,
    serverPort: filter.replySourcePort,
  };
}
