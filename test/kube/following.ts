/** A source on a fake API server, followed into a store, with every time shortened. */
import { expect, vi } from 'vitest';
import type { ClusterState } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { ClusterAccess } from '../../src/kube/cluster-access.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import type { FollowCount, FollowTimes } from '../../src/kube/kind-follower.ts';
import { KubeSource } from '../../src/kube/source.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';
import type { FakeKubeApi } from '../fakes/kube-api.ts';

export const paths = {
  namespaces: '/api/v1/namespaces',
  nodes: '/api/v1/nodes',
  pods: '/api/v1/pods',
  policies: '/apis/networking.k8s.io/v1/networkpolicies',
  services: '/api/v1/services',
} as const;

export interface Following {
  readonly state: ClusterState;
  readonly synced: boolean;
  readonly diagnostics: readonly Diagnostic[];
  /** Changes of each batch, as `set Pod demo/a` or `delete Pod demo/a`. */
  readonly batches: readonly (readonly string[])[];
  readonly counts: Readonly<Record<FollowCount, number>>;
  until(what: () => boolean, withinMs?: number): Promise<void>;
  untilSynced(): Promise<void>;
  /** Rejects with what ended the source. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

export interface FollowSettings {
  readonly times?: Partial<FollowTimes>;
  readonly silenceMs?: number;
  readonly access?: ClusterAccess;
  readonly nodeName?: string;
}

const quick: Partial<FollowTimes> = { watchSeconds: 30, firstRetryMs: 20, maxRetryMs: 100, slowRetryMs: 150 };

/** Anybody's access to an API server that asks for no credentials. */
export function openAccess(server: string): ClusterAccess {
  return { server, credentials: async () => ({ tls: {}, headers: {} }), forget: () => undefined };
}

export function follow(api: FakeKubeApi, settings: FollowSettings = {}): Following {
  const { times, silenceMs = 10_000, access = openAccess(api.url), nodeName = 'n1' } = settings;
  const counts: Record<FollowCount, number> = { list: 0, watch: 0, event: 0, error: 0 };
  const client = new KubeClient({ access, userAgent: 'test', silenceMs });
  const source = new KubeSource({
    client,
    nodeName,
    clock: systemClock,
    times: { ...quick, ...times },
    count: (what) => {
      counts[what] += 1;
    },
  });
  const store = new ClusterStore();
  const stop = new AbortController();
  const seen = { synced: false, diagnostics: [] as readonly Diagnostic[], batches: [] as string[][] };
  const run = async (): Promise<void> => {
    for await (const batch of source.watch(stop.signal)) {
      seen.batches.push(
        store
          .apply(batch.changes)
          .map(({ kind, key, after }) => `${after === undefined ? 'delete' : 'set'} ${kind} ${key}`),
      );
      seen.synced = batch.synced;
      seen.diagnostics = batch.diagnostics ?? seen.diagnostics;
    }
  };
  const ended = run();
  ended.catch(() => undefined);
  const until = (what: () => boolean, withinMs = 5000): Promise<void> =>
    vi.waitFor(() => expect(what(), JSON.stringify(seen.diagnostics)).toBe(true), { timeout: withinMs, interval: 5 });
  return {
    state: store,
    get synced() {
      return seen.synced;
    },
    get diagnostics() {
      return seen.diagnostics;
    },
    get batches() {
      return seen.batches;
    },
    counts,
    until,
    untilSynced: () => until(() => seen.synced),
    ended,
    stop: async () => {
      stop.abort();
      await ended.catch(() => undefined);
      client.close();
    },
  };
}
