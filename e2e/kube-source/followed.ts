/** Sluice's Kubernetes source on a real API server, followed into a store. */
import type { ClusterState } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import type { FollowCount } from '../../src/kube/kind-follower.ts';
import { kubeconfigAccess } from '../../src/kube/kubeconfig.ts';
import { KubeSource } from '../../src/kube/source.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';
import { until } from '../cluster/until.ts';

export interface Followed {
  readonly state: ClusterState;
  isSynced(): boolean;
  messages(): readonly string[];
  /** Those before, too. */
  readonly everyMessage: readonly string[];
  /** Every change that ever came, as `set Pod a/b` or `delete Pod a/b`. */
  readonly changes: readonly string[];
  readonly counts: Readonly<Record<FollowCount, number>>;
  /** Milliseconds from the call to `what`. */
  until(name: string, what: () => boolean, withinMs?: number): Promise<number>;
  stop(): Promise<void>;
}

export interface FollowedSettings {
  readonly kubeconfig: string;
  /** How long a watch may be silent. */
  readonly silenceMs: number;
}

export function followed({ kubeconfig, silenceMs }: FollowedSettings): Followed {
  const client = new KubeClient({ access: kubeconfigAccess(kubeconfig), userAgent: 'sluice-e2e', silenceMs });
  const counts: Record<FollowCount, number> = { list: 0, watch: 0, event: 0, error: 0 };
  const source = new KubeSource({
    client,
    nodeName: 'n1',
    clock: systemClock,
    times: { maxRetryMs: 2000, slowRetryMs: 1000 },
    count: (what) => {
      counts[what] += 1;
    },
  });
  const store = new ClusterStore();
  const changes: string[] = [];
  const everyMessage: string[] = [];
  let [isSynced, messages, bug]: [boolean, readonly string[], string | undefined] = [false, [], undefined];
  const stop = new AbortController();
  const running = (async () => {
    for await (const batch of source.watch(stop.signal)) {
      for (const { kind, key, after } of store.apply(batch.changes)) {
        changes.push(`${after === undefined ? 'delete' : 'set'} ${kind} ${key}`);
      }
      isSynced = batch.synced;
      messages = batch.diagnostics?.map(({ message }) => message) ?? messages;
      everyMessage.push(...(batch.diagnostics ?? []).map(({ message }) => message));
    }
  })().catch((error: unknown) => {
    bug = error instanceof Error ? (error.stack ?? error.message) : 'unknown';
  });
  return {
    state: store,
    isSynced: () => isSynced,
    messages: () => messages,
    everyMessage,
    changes,
    counts,
    until: async (name, what, withinMs = 30_000) => {
      const started = performance.now();
      await until(name, async () => what(), { timeoutMs: withinMs, everyMs: 2, hopeless: () => bug });
      return performance.now() - started;
    },
    stop: async () => {
      stop.abort();
      await running;
      client.close();
    },
  };
}
