/** An agent on a kernel that is only pretended: cluster, node and time are in the test's hands. */
import { Agent, readinessParts } from '../../src/agent/agent.ts';
import type { AgentParts } from '../../src/agent/agent.ts';
import type { DriftWatch } from '../../src/agent/drift-watch.ts';
import type { NodeWatch } from '../../src/agent/node-watch.ts';
import type { ReadScope } from '../../src/backends/backend.ts';
import { findDrift } from '../../src/backends/drift-check.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import type { ClusterChange, ClusterSource, ClusterState, SourceBatch } from '../../src/cluster/state.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { Readiness } from '../../src/telemetry/readiness.ts';
import { seedOptions, seedStore } from '../compile/seed-cluster.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';

/** Values that the test hands in one by one. */
class Channel<T> {
  readonly #waiting: T[] = [];
  #wake: () => void = () => undefined;

  push(value: T): void {
    this.#waiting.push(value);
    this.#wake();
  }

  async *values(signal: AbortSignal): AsyncGenerator<T, void, void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const [next] = this.#waiting.splice(0, 1);
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

export class TestSource implements ClusterSource {
  readonly #batches = new Channel<SourceBatch>();

  watch(signal: AbortSignal): AsyncIterable<SourceBatch> {
    return this.#batches.values(signal);
  }

  deliver(batch: SourceBatch): void {
    this.#batches.push(batch);
  }
}

/** Every pod has its interface, except those whose address is `hidden`. */
export class TestNode implements NodeWatch {
  readonly #events = new Channel<string>();
  readonly #state: () => ClusterState;
  readonly hidden = new Set<string>();
  reads = 0;

  constructor(state: () => ClusterState) {
    this.#state = state;
  }

  async read(): Promise<NodeFacts> {
    this.reads += 1;
    await Promise.resolve();
    const facts = syntheticFacts(this.#state(), 'minikube');
    return { ...facts, bindings: new Map([...facts.bindings].filter(([address]) => !this.hidden.has(address))) };
  }

  changes(signal: AbortSignal): AsyncIterable<string> {
    return this.#events.values(signal);
  }

  change(): void {
    this.#events.push('link');
  }
}

/** Rule events are the test's; the look at sets is the real one. */
export class TestDrift implements DriftWatch {
  readonly #events = new Channel<readonly TableName[]>();
  readonly #backend: KernelBackend;
  readonly isFollowing = true;
  looks = 0;

  constructor(backend: KernelBackend) {
    this.#backend = backend;
  }

  changes(signal: AbortSignal): AsyncIterable<readonly TableName[]> {
    return this.#events.values(signal);
  }

  look(dataplane: Dataplane): Promise<ReadScope> {
    this.looks += 1;
    return findDrift(dataplane, this.#backend, { hooks: false });
  }

  change(...tables: readonly TableName[]): void {
    this.#events.push(tables);
  }
}

/** One line of the log, parsed. */
export type LogLine = Readonly<Record<string, unknown>>;

/** `kernel`: one that another agent has written to. `parts`: what this agent has besides. */
export function startAgent(kernel = new FakeKernel(), parts: Partial<AgentParts> = {}) {
  const clock = new ManualClock();
  const source = new TestSource();
  const log: LogLine[] = [];
  const logger = createLogger('info', {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- pino writes objects
    write: (line: string) => void log.push(JSON.parse(line) as LogLine),
  });
  const readiness = new Readiness(readinessParts);
  const backend = new KernelBackend({
    run: kernel.run,
    variant: 'nft',
    families: ['ipv4'],
    ownership: { services: false },
  });
  const node = new TestNode(() => agent.state);
  const metrics = createMetrics();
  const drift = new TestDrift(backend);
  const agent: Agent = new Agent({
    nodeName: 'minikube',
    source,
    node,
    writer: new KernelWriter({ backend, retryDelaysMs: [] }),
    compileOptions: () => seedOptions,
    resyncSeconds: 90,
    drift,
    driftCheckSeconds: 5,
    clock,
    now: () => new Date(0),
    logger,
    metrics,
    readiness,
    ...parts,
  });
  const abort = new AbortController();
  const ended = agent.run(abort.signal).then(
    () => undefined,
    (error: unknown) => error,
  );
  return { agent, clock, kernel, source, node, drift, log, readiness, metrics, abort, ended };
}

export type StartedAgent = ReturnType<typeof startAgent>;

export async function stopAgent({ abort, ended }: StartedAgent): Promise<void> {
  abort.abort();
  await ended;
}

/** Gives the loop time to collect and to write; the pretended programs answer at once. */
export async function run({ clock }: StartedAgent, milliseconds = 5): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) await settle();
  await clock.advance(milliseconds);
  for (let turn = 0; turn < 300; turn += 1) await settle();
}

export function set(object: ClusterObject): ClusterChange {
  return { type: 'set', object };
}

/** The seed's namespace, pods and policy. */
export function seedChanges(): readonly ClusterChange[] {
  const { namespaces, pods, networkPolicies } = seedStore();
  return [...namespaces.values(), ...pods.values(), ...networkPolicies.values()].map(set);
}
