/** What should be in the kernel: the cluster joined with what the node knows of itself, compiled change by change. */
import type { ObjectChange, SourceBatch } from '../cluster/state.ts';
import { ClusterStore } from '../cluster/state.ts';
import { Compiler } from '../compile/compiler.ts';
import type { CompileOptions } from '../compile/options.ts';
import type { DataplaneDelta } from '../dataplane/dataplane.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpAddress } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import type { CompilerInput } from '../server/state-codec.ts';
import type { Arrival } from './arrivals.ts';
import { Arrivals } from './arrivals.ts';
import type { NodeWatch } from './node-watch.ts';

export interface DesiredStateOptions {
  readonly nodeName: string;
  readonly node: NodeWatch;
  readonly clock: Clock;
  /** Asked for every update, when cluster and node are both known. What is not about Services counts at the first time only. */
  readonly compileOptions: (state: ClusterStore, facts: NodeFacts) => CompileOptions;
}

/** One step of the desired state. */
export interface Update {
  /** Of the cluster, which this update brings everything up to. */
  readonly revision: number;
  readonly changes: number;
  readonly delta: DataplaneDelta;
  /** Everything wrong at present: with files, objects and their rendering. */
  readonly diagnostics: readonly Diagnostic[];
  readonly arrivals: readonly Arrival[];
  readonly compileMs: number;
  /** Keys of the Services that were decided again, or are gone. */
  readonly services: ReadonlySet<string>;
}

export class DesiredState {
  readonly store = new ClusterStore();
  readonly #options: DesiredStateOptions;
  readonly #arrivals: Arrivals;
  #pending: ObjectChange[] = [];
  #isSynced = false;
  #diagnostics: readonly Diagnostic[] = [];
  #facts: NodeFacts | undefined;
  #isNodeDirty = true;
  #compiler: Compiler | undefined;
  #compileOptions: CompileOptions | undefined;

  constructor(options: DesiredStateOptions) {
    this.#options = options;
    this.#arrivals = new Arrivals(options.clock);
  }

  /** The source's first snapshot is complete: only from here on may anything be written. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** What is wrong with what the source reads. */
  get sourceDiagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** When the oldest change came in that no update has taken up yet. */
  get oldestArrival(): number | undefined {
    return this.#arrivals.oldest;
  }

  /** Absent before the first update. */
  get compiler(): Compiler | undefined {
    return this.#compiler;
  }

  get compilerInput(): CompilerInput | undefined {
    if (this.#compileOptions === undefined || this.#facts === undefined) return undefined;
    return { options: this.#compileOptions, facts: this.#facts };
  }

  take({ changes, synced, diagnostics }: SourceBatch): void {
    for (const change of this.store.apply(changes)) {
      this.#pending.push(change);
      this.#arrivals.note(change.kind);
      if (change.kind === 'Pod' || change.kind === 'Node') this.#isNodeDirty ||= this.#isUnbound(change);
    }
    if (diagnostics !== undefined) this.#diagnostics = diagnostics;
    this.#isSynced ||= synced;
  }

  /** Links, routes or neighbours changed. */
  nodeChanged(): void {
    this.#isNodeDirty = true;
    this.#arrivals.note('link');
  }

  /** Reads the node where that is due, and compiles what came since the last call. */
  async next(): Promise<Update> {
    const facts = await this.#readFacts();
    const { clock, compileOptions } = this.#options;
    const options = this.#keepSame(compileOptions(this.store, facts));
    this.#compileOptions = options;
    this.#compiler ??= new Compiler(this.store, options);
    // From here on nothing waits: what came while the node was read is in the store and in this update.
    const pending = this.#pending;
    this.#pending = [];
    const started = clock.now();
    const { delta, diagnostics, services } = this.#compiler.apply(pending, facts, options.services);
    return {
      delta,
      services,
      revision: this.store.revision,
      changes: pending.length,
      diagnostics: [...this.#diagnostics, ...diagnostics],
      arrivals: this.#arrivals.take(),
      compileMs: clock.now() - started,
    };
  }

  /** Options that say the same stay the same object, as facts do. */
  #keepSame(options: CompileOptions): CompileOptions {
    const before = this.#compileOptions;
    if (before === undefined) return options;
    const { services } = options;
    if (services === undefined || sameValue(before.services, services)) return before;
    return { ...before, services };
  }

  /** Facts that say the same stay the same object: the compiler then knows that nothing changed. */
  async #readFacts(): Promise<NodeFacts> {
    if (this.#facts !== undefined && !this.#isNodeDirty) return this.#facts;
    this.#isNodeDirty = false;
    try {
      const facts = await this.#options.node.read(this.#localAddresses());
      if (this.#facts === undefined || !sameFacts(this.#facts, facts)) this.#facts = facts;
      return this.#facts;
    } catch (error) {
      this.#isNodeDirty = true;
      throw error;
    }
  }

  #localAddresses(): readonly IpAddress[] {
    const { nodeName } = this.#options;
    return [...this.store.pods.values()]
      .filter((pod) => pod.nodeName === nodeName && !pod.hostNetwork)
      .flatMap((pod) => pod.ips);
  }

  /** A pod of this node with an address that the node was not asked about yet. */
  #isUnbound({ after }: ObjectChange): boolean {
    if (after?.kind !== 'Pod' || after.nodeName !== this.#options.nodeName || after.hostNetwork) return false;
    return after.ips.some((address) => this.#facts?.bindings.has(address) !== true);
  }
}

function sameFacts(left: NodeFacts, right: NodeFacts): boolean {
  const entries = (facts: NodeFacts) => ({ ...facts, bindings: Object.fromEntries(facts.bindings) });
  return sameValue(entries(left), entries(right));
}
