/** Random histories over real HTTP: whatever breaks and when, in the end the source has what the API server has. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FakeKubeApi, podOf } from '../fakes/kube-api.ts';
import type { Following } from './following.ts';
import { follow, paths } from './following.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd');
const policyPath = paths.policies;

/** What is done to the API server, or to the connections to it. */
const happenings: Readonly<Record<string, (api: FakeKubeApi, name: string) => void | Promise<void>>> = {
  put: (api, one) => void api.store.put(paths.pods, podOf(one)),
  move: (api, one) => void api.store.put(paths.pods, podOf(one, { status: { phase: 'Running', podIP: '10.0.0.7' } })),
  finish: (api, one) => void api.store.put(paths.pods, podOf(one, { status: { phase: 'Succeeded' } })),
  delete: (api, one) => api.store.delete(paths.pods, `demo/${one}`),
  policy: (api, one) =>
    void api.store.put(policyPath, { metadata: { name: one, namespace: 'demo' }, spec: { podSelector: {} } }),
  noPolicy: (api, one) => api.store.delete(policyPath, `demo/${one}`),
  compact: (api) => api.store.compact(),
  cut: (api) => api.cutWatches(),
  end: (api) => api.endWatches(),
  freeze: (api) => api.freezeWatches(),
  bookmark: (api) => api.sendBookmarks(),
  expire: (api) => api.sendError(paths.pods, 410, 'Expired'),
  fail: (api) => api.sendError(policyPath, 500, 'InternalError'),
  busy: (api) => void api.failures.push({ path: paths.pods, kind: 'list', status: 503 }),
  refuse: (api) => void api.failures.push({ path: policyPath, kind: 'watch', status: 500 }),
  wait: () => new Promise((resolve) => setTimeout(resolve, 30)),
  restart: async (api) => {
    const { port } = api;
    await api.stop();
    await api.listen(port);
  },
};

const history = fc.array(fc.tuple(fc.constantFrom(...Object.keys(happenings)), name), { maxLength: 25 });

function served(api: FakeKubeApi): readonly string[] {
  const isOpen = (phase: unknown) => phase !== 'Succeeded';
  const pods = api.store.objects(paths.pods).filter(({ status }) => isOpen(status?.['phase']));
  const lines = pods.map(({ metadata, status }) => `${metadata.name} ${metadata.uid} ${String(status?.['podIP'])}`);
  return [...lines, ...api.store.objects(policyPath).map(({ metadata }) => `policy ${metadata.uid}`)].sort();
}

function known({ state }: Following): readonly string[] {
  const lines = [...state.pods.values()].map((pod) => `${pod.name} ${pod.uid} ${String(pod.ips[0])}`);
  return [...lines, ...[...state.networkPolicies.values()].map(({ uid }) => `policy ${uid}`)].sort();
}

test('the source ends with what the API server has, and was never unsynced again', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (events) => {
      const api = await FakeKubeApi.start();
      api.store.put(paths.nodes, { metadata: { name: 'n1' } });
      const times = { firstRetryMs: 5, maxRetryMs: 20, slowRetryMs: 20 };
      const cluster = follow(api, { silenceMs: 150, times });
      try {
        await cluster.untilSynced();
        for (const [what, one] of events) await happenings[what]?.(api, one);
        await cluster.until(() => known(cluster).join() === served(api).join(), 8000);
        expect(cluster.synced).toBe(true);
      } finally {
        await cluster.stop();
        await api.stop();
      }
    }),
    { numRuns: 25, interruptAfterTimeLimit: 45_000 },
  );
}, 90_000);
