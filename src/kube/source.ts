/** A Kubernetes cluster as a source that is followed: complete when every kind is. */
import type { ClusterChange, ClusterSource, SourceBatch } from '../cluster/state.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { EventFlag } from '../lib/event-flag.ts';
import type { FollowCount, FollowTimes } from './kind-follower.ts';
import { followTimes, KindFollower } from './kind-follower.ts';
import type { KubeClient } from './kube-client.ts';
import { allResources } from './resources.ts';
import type { Resource } from './resources.ts';

export interface KubeSourceOptions {
  readonly client: Pick<KubeClient, 'open' | 'json' | 'server'>;
  /** This agent's Node: without it nothing is known of the node, and the source is not synced. */
  readonly nodeName: string;
  readonly clock: Clock;
  readonly resources?: readonly Resource[];
  readonly times?: Partial<FollowTimes>;
  readonly random?: () => number;
  readonly count?: (what: FollowCount, resource: Resource) => void;
}

export class KubeSource implements ClusterSource {
  readonly #options: KubeSourceOptions;

  constructor(options: KubeSourceOptions) {
    this.#options = options;
  }

  /** Each call delivers the whole cluster first. */
  async *watch(signal: AbortSignal): AsyncGenerator<SourceBatch, void, void> {
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const news = new News(this.#options);
    const running = news.run(both);
    try {
      for (let batch = await news.next(both); batch !== undefined; batch = await news.next(both)) yield batch;
    } finally {
      stop.abort();
      await running;
    }
  }
}

/** What the followers of all kinds have found since the last batch. */
class News {
  readonly #options: KubeSourceOptions;
  readonly #followers: readonly KindFollower[];
  readonly #arrived = new EventFlag();
  #changes: ClusterChange[] = [];
  #version = '';
  #bug: unknown;

  constructor(options: KubeSourceOptions) {
    this.#options = options;
    const { client, clock, nodeName, resources = allResources, times, random = Math.random, count } = options;
    const follow = {
      client,
      clock,
      nodeName,
      random,
      times: { ...followTimes, ...times },
      count: count ?? (() => undefined),
      onNews: (changes: readonly ClusterChange[]) => this.#take(changes),
    };
    this.#followers = resources.map((resource) => new KindFollower(resource, follow));
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(
      this.#followers.map((follower) =>
        follower.run(signal).catch((error: unknown) => {
          this.#bug ??= error;
          this.#arrived.raise();
        }),
      ),
    );
  }

  /** Undefined where `signal` aborted. */
  async next(signal: AbortSignal): Promise<SourceBatch | undefined> {
    for (;;) {
      if (!(await this.#arrived.next(signal))) return undefined;
      this.#arrived.lower();
      if (this.#bug !== undefined) throw this.#bug;
      const batch = this.#batch();
      if (batch !== undefined) return batch;
    }
  }

  #take(changes: readonly ClusterChange[]): void {
    for (const change of changes) this.#changes.push(change);
    this.#arrived.raise();
  }

  #batch(): SourceBatch | undefined {
    const changes = this.#changes;
    this.#changes = [];
    const missing = this.#missingNode();
    const synced = missing.length === 0 && this.#followers.every(({ isComplete }) => isComplete);
    const version = [missing.length, ...this.#followers.map((follower) => follower.version)].join();
    const isNew = version !== this.#version;
    this.#version = version;
    if (changes.length === 0 && !isNew) return undefined;
    if (!isNew) return { changes, synced };
    return { changes, synced, diagnostics: [...missing, ...this.#followers.flatMap(({ diagnostics }) => diagnostics)] };
  }

  #missingNode(): readonly Diagnostic[] {
    const { nodeName, client } = this.#options;
    const nodes = this.#followers.find(({ resource }) => resource.kind === 'Node');
    if (nodes === undefined || !nodes.isComplete || nodes.has(nodeName)) return [];
    const expected = 'expected the name of the Node that this agent runs on (nodeName)';
    return [{ severity: 'error', object: '', message: `${client.server} has no Node "${nodeName}", ${expected}` }];
  }
}
