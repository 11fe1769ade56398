import { afterEach, describe, expect, test } from 'vitest';
import type { FakeKubeApiOptions } from '../fakes/kube-api.ts';
import { FakeKubeApi, podOf } from '../fakes/kube-api.ts';
import type { Following, FollowSettings } from './following.ts';
import { follow, paths } from './following.ts';

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});

/** An API server with the agent's own Node. */
async function startApi(options: FakeKubeApiOptions = {}): Promise<FakeKubeApi> {
  const api = await FakeKubeApi.start(options);
  running.push(api);
  api.store.put(paths.nodes, { metadata: { name: 'n1' }, spec: { podCIDRs: ['10.244.1.0/24'] } });
  return api;
}

function followed(api: FakeKubeApi, settings: FollowSettings = {}): Following {
  const following = follow(api, settings);
  running.push(following);
  return following;
}

async function synced(settings: FollowSettings = {}): Promise<{ api: FakeKubeApi; cluster: Following }> {
  const api = await startApi();
  api.store.put(paths.pods, podOf('a'));
  const cluster = followed(api, settings);
  await cluster.untilSynced();
  await cluster.until(() => api.openWatches.length === 7);
  return { api, cluster };
}

const policy = (name: string) => ({ metadata: { name, namespace: 'demo' }, spec: { podSelector: {} } });

describe('the first snapshot', () => {
  test('is synced when every kind is complete, and everything is there then', async () => {
    const api = await startApi();
    for (let index = 0; index < 1201; index += 1) api.store.put(paths.pods, podOf(`p${index}`));
    const cluster = followed(api);
    await cluster.untilSynced();
    expect(cluster.state.pods.size).toBe(1201);
    expect(api.lists(paths.pods).map(({ query }) => query.get('limit'))).toEqual(['500', '500', '500']);
    expect(cluster.batches.filter((batch) => batch.some((line) => line.includes('Pod')))).toHaveLength(1);
  });

  test('is not synced while one kind may not be read; one message says which rule is missing; a later grant mends it', async () => {
    const api = await startApi();
    api.forbidden.add(paths.policies);
    const cluster = followed(api);
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('networkpolicies')));
    expect(cluster.diagnostics).toHaveLength(1);
    expect(cluster.diagnostics[0]?.message).toContain(
      'expected a ClusterRole with apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list", "watch"]',
    );
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(cluster.synced).toBe(false);
    expect(api.lists(paths.policies).length).toBeLessThanOrEqual(6);
    api.forbidden.clear();
    await cluster.untilSynced();
    expect(cluster.diagnostics).toEqual([]);
  });

  test('waits for the Node that this agent runs on', async () => {
    const api = await startApi();
    const cluster = followed(api, { nodeName: 'n2' });
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('has no Node "n2"')));
    expect(cluster.synced).toBe(false);
    api.store.put(paths.nodes, { metadata: { name: 'n2' }, spec: {} });
    await cluster.untilSynced();
    expect(cluster.diagnostics).toEqual([]);
  });

  test('comes without ServiceCIDRs from an API server that is too old to have them', async () => {
    const api = await startApi({ paths: [...Object.values(paths), '/apis/discovery.k8s.io/v1/endpointslices'] });
    const cluster = followed(api);
    await cluster.untilSynced();
    expect(cluster.diagnostics).toEqual([]);
  });

  test('an API server that lacks a kind we need is named', async () => {
    const api = await startApi({ paths: Object.values(paths) });
    const cluster = followed(api);
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('knows no /apis/discovery')));
    expect(cluster.synced).toBe(false);
  });

  test('a page token that becomes too old begins the list again, and never gives half of it', async () => {
    const api = await startApi();
    for (let index = 0; index < 600; index += 1) api.store.put(paths.pods, podOf(`p${index}`));
    Object.assign(api, { pieceBytes: 4096, pieceDelayMs: 10 });
    const cluster = followed(api);
    await cluster.until(() => api.lists(paths.pods).length === 1);
    api.store.delete(paths.pods, 'demo/p0');
    api.store.compact();
    await cluster.untilSynced();
    expect(cluster.state.pods.size).toBe(599);
    const hasToken = api.lists(paths.pods).map(({ query }) => query.has('continue'));
    expect(hasToken).toEqual([false, true, false, true]);
    expect(cluster.counts.error).toBe(0);
  });
});

describe('changes', () => {
  test('a new policy is there at once', async () => {
    const { api, cluster } = await synced();
    const started = performance.now();
    api.store.put(paths.policies, policy('deny'));
    await cluster.until(() => cluster.state.networkPolicies.has('demo/deny'), 1000);
    expect(performance.now() - started).toBeLessThan(200);
  });

  test('an object that says nothing new is no change', async () => {
    const { api, cluster } = await synced();
    const before = cluster.state.revision;
    api.store.put(paths.pods, { ...podOf('a'), status: { phase: 'Running', conditions: [{ type: 'PodScheduled' }] } });
    api.store.put(paths.pods, podOf('b'));
    await cluster.until(() => cluster.state.pods.has('demo/b'));
    expect(cluster.state.revision).toBe(before + 1);
  });

  test('a pod that ends is gone', async () => {
    const { api, cluster } = await synced();
    api.store.put(paths.pods, { ...podOf('a'), status: { phase: 'Succeeded' } });
    await cluster.until(() => !cluster.state.pods.has('demo/a'));
  });

  test('a policy that cannot be read isolates, is told with its field, and is forgotten when it is gone', async () => {
    const { api, cluster } = await synced();
    const broken = { ...policy('odd'), spec: { podSelector: {}, ingress: [{ from: [{ futureSelector: {} }] }] } };
    api.store.put(paths.policies, broken);
    await cluster.until(() => cluster.state.networkPolicies.has('demo/odd'));
    expect(cluster.state.networkPolicies.get('demo/odd')).toMatchObject({ isolatesIngress: true, ingress: [] });
    expect(cluster.diagnostics[0]).toMatchObject({
      severity: 'error',
      object: 'NetworkPolicy demo/odd',
      path: 'spec.ingress[0].from[0].futureSelector',
    });
    api.store.delete(paths.policies, 'demo/odd');
    await cluster.until(() => cluster.diagnostics.length === 0);
  });
});

describe('watches that end', () => {
  test('cleanly: the next one begins at once, where the last one was', async () => {
    const { api, cluster } = await synced({ times: { firstRetryMs: 5000, maxRetryMs: 5000 } });
    api.sendBookmarks();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const { version } = api.store;
    api.endWatches();
    await cluster.until(() => api.openWatches.length === 7, 1000);
    expect(api.watches(paths.pods).at(-1)?.query.get('resourceVersion')).toBe(String(version));
    expect(cluster.counts.list).toBe(7);
    expect(cluster.counts.error).toBe(0);
  });

  test('in the middle: what was missed comes, and nothing is listed again', async () => {
    const { api, cluster } = await synced();
    api.cutWatches();
    api.store.put(paths.pods, podOf('b'));
    api.store.delete(paths.pods, 'demo/a');
    await cluster.until(() => cluster.state.pods.has('demo/b') && !cluster.state.pods.has('demo/a'));
    expect(cluster.counts.list).toBe(7);
    expect(cluster.synced).toBe(true);
  });

  test('silent and half open: found after the time without a bookmark', async () => {
    const { api, cluster } = await synced({ silenceMs: 300 });
    api.freezeWatches();
    api.store.put(paths.pods, podOf('b'));
    await cluster.until(() => cluster.state.pods.has('demo/b'), 2000);
    expect(cluster.counts.list).toBe(7);
  });

  test('bookmarks keep a quiet watch open', async () => {
    const { api, cluster } = await synced({ silenceMs: 400 });
    const { watch } = cluster.counts;
    for (let round = 0; round < 10; round += 1) {
      api.sendBookmarks();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(cluster.counts.watch).toBe(watch);
  });

  test.each([
    ['by an event', false],
    ['by its status', true],
  ])('too old, told %s: a new list, with what was deleted meanwhile', async (_how, isExpiryStatus) => {
    const { api, cluster } = await synced();
    api.isExpiryStatus = isExpiryStatus;
    const port = api.port;
    await api.stop();
    api.store.delete(paths.pods, 'demo/a');
    api.store.put(paths.pods, podOf('b'));
    api.store.compact();
    await api.listen(port);
    await cluster.until(() => cluster.state.pods.has('demo/b') && !cluster.state.pods.has('demo/a'));
    expect(api.lists(paths.pods)).toHaveLength(2);
  });

  test('an API server that always says too old is not asked without pause', async () => {
    const { api, cluster } = await synced({ times: { firstRetryMs: 100, maxRetryMs: 1000 } });
    const lists = api.lists(paths.pods).length;
    for (let round = 0; round < 50; round += 1) {
      api.failures.push({ path: paths.pods, kind: 'watch', status: 410 });
    }
    api.endWatches(paths.pods);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(api.lists(paths.pods).length - lists).toBeLessThanOrEqual(6);
    api.failures.splice(0);
    api.store.put(paths.pods, podOf('b'));
    await cluster.until(() => cluster.state.pods.has('demo/b'));
  });

  test('an object made anew with the same name between two lists is another object', async () => {
    const { api, cluster } = await synced();
    const { uid } = cluster.state.pods.get('demo/a') ?? {};
    const port = api.port;
    await api.stop();
    api.store.delete(paths.pods, 'demo/a');
    api.store.put(paths.pods, podOf('a'));
    api.store.compact();
    await api.listen(port);
    await cluster.until(() => cluster.state.pods.get('demo/a')?.uid !== uid);
    const batch = cluster.batches.find((lines) => lines.includes('delete Pod demo/a'));
    expect(batch).toEqual(['delete Pod demo/a', 'set Pod demo/a']);
  });
});

describe('an API server in trouble', () => {
  test('429 with Retry-After is obeyed', async () => {
    const api = await startApi();
    api.failures.push({ path: paths.pods, kind: 'list', status: 429, retryAfter: '1' });
    const cluster = followed(api);
    await cluster.untilSynced();
    const [first, second] = api.lists(paths.pods);
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(950);
  });

  test('429 inside of a watch is obeyed too', async () => {
    const { api, cluster } = await synced();
    const started = performance.now();
    api.sendError(paths.pods, 429, 'TooManyRequests', 1);
    await cluster.until(() => api.watches(paths.pods).length === 2);
    expect(performance.now() - started).toBeGreaterThanOrEqual(950);
    expect(cluster.counts.list).toBe(7);
  });

  test('it dies and comes back: what is known stays, then what was missed comes', async () => {
    const { api, cluster } = await synced();
    const port = api.port;
    await api.stop();
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('stays in force')));
    expect(cluster.synced).toBe(true);
    expect(cluster.state.pods.has('demo/a')).toBe(true);
    api.store.put(paths.policies, policy('deny'));
    await api.listen(port);
    await cluster.until(() => cluster.state.networkPolicies.has('demo/deny') && cluster.diagnostics.length === 0);
  });

  test('permission that is taken away later: what is known stays in force', async () => {
    const { api, cluster } = await synced();
    api.store.put(paths.policies, policy('deny'));
    await cluster.until(() => cluster.state.networkPolicies.has('demo/deny'));
    api.forbidden.add(paths.policies);
    api.cutWatches(paths.policies);
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('no permission to list')));
    expect(cluster.synced).toBe(true);
    expect(cluster.state.networkPolicies.has('demo/deny')).toBe(true);
  });

  test('huge lines in small pieces, with characters of many bytes', async () => {
    const { api, cluster } = await synced();
    api.pieceBytes = 7;
    const note = 'Ünïcödé 🦫 '.repeat(20_000);
    api.store.put(paths.pods, podOf('big', { metadata: { name: 'big', namespace: 'demo', annotations: { note } } }));
    await cluster.until(() => cluster.state.pods.has('demo/big'), 10_000);
  });

  test('a slow list is waited for, as long as it moves', async () => {
    const api = await startApi();
    api.store.put(paths.pods, podOf('a'));
    Object.assign(api, { pieceBytes: 64, pieceDelayMs: 50 });
    const cluster = followed(api, { silenceMs: 1000 });
    await cluster.untilSynced();
    expect(cluster.counts.error).toBe(0);
  });

  test('a token that was replaced is read again at once', async () => {
    const api = await startApi({ tokens: ['one'] });
    let token = 'one';
    const access = {
      server: api.url,
      credentials: async () => ({ tls: {}, headers: { authorization: `Bearer ${token}` } }),
      forget: () => {
        token = 'two';
      },
    };
    const cluster = followed(api, { access });
    await cluster.untilSynced();
    await cluster.until(() => api.openWatches.length === 7);
    api.sendBookmarks();
    api.tokens = new Set(['two']);
    api.endWatches();
    api.store.put(paths.pods, podOf('b'));
    await cluster.until(() => cluster.state.pods.has('demo/b'));
    expect(cluster.counts.error).toBe(0);
  });

  test('credentials that are refused are told', async () => {
    const api = await startApi({ tokens: ['one'] });
    const cluster = followed(api);
    await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('credentials (401)')));
    expect(cluster.synced).toBe(false);
  });
});
