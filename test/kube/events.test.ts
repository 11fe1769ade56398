import { afterEach, expect, test, vi } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { EventRecorder } from '../../src/kube/event-recorder.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { notesOf, objectEvent } from '../../src/kube/object-event.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';
import { FakeKubeApi } from '../fakes/kube-api.ts';
import { openAccess } from './following.ts';

const running: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of running.splice(0).reverse()) await stop();
});

function policy(name: string): ClusterObject {
  return {
    kind: 'NetworkPolicy',
    namespace: 'demo',
    name,
    uid: `uid-${name}`,
    podSelector: { matchLabels: {}, matchExpressions: [] },
    isolatesIngress: true,
    isolatesEgress: false,
    ingress: [],
    egress: [],
  };
}

const find = (text: string): ClusterObject | undefined => policy(text.slice('NetworkPolicy demo/'.length));

function refused(name: string, message = 'is not a CIDR'): Diagnostic {
  return { severity: 'error', object: `NetworkPolicy demo/${name}`, path: 'spec.egress[0]', message };
}

async function start(pauseMs = 5): Promise<{ api: FakeKubeApi; recorder: EventRecorder }> {
  const api = await FakeKubeApi.start();
  return { api, recorder: recorderOn(api, 'n1', pauseMs) };
}

function recorderOn(api: FakeKubeApi, nodeName: string, pauseMs = 5): EventRecorder {
  const client = new KubeClient({ access: openAccess(api.url), userAgent: 'test' });
  const logger = createLogger('error', { write: () => undefined });
  const recorder = new EventRecorder({ client, nodeName, clock: systemClock, now: () => new Date(), logger, pauseMs });
  const stop = new AbortController();
  const done = recorder.run(stop.signal);
  running.push(async () => {
    stop.abort();
    await done;
    client.close();
    await api.stop().catch(() => undefined);
  });
  return recorder;
}

const until = (what: () => boolean) => vi.waitFor(() => expect(what()).toBe(true), { timeout: 5000, interval: 5 });
const posts = (api: FakeKubeApi) => api.seen.filter(({ method }) => method === 'POST').length;

test('one Event on a refused object, with everything that is wrong with it', async () => {
  const { api, recorder } = await start();
  recorder.update([refused('a'), { ...refused('a', 'allows nothing'), path: 'spec' }], find);
  await until(() => api.events.size === 1);
  expect([...api.events.values()][0]).toMatchObject({
    type: 'Warning',
    reason: 'Refused',
    reportingInstance: 'n1',
    note: 'spec.egress[0]: is not a CIDR; spec: allows nothing',
    regarding: {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      namespace: 'demo',
      name: 'a',
      uid: 'uid-a',
    },
  });
});

test('is not written again while it says the same, and is when it says something else', async () => {
  const { api, recorder } = await start();
  for (let round = 0; round < 5; round += 1) {
    recorder.update([refused('a')], find);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(posts(api)).toBe(1);
  recorder.update([refused('a', 'is something else')], find);
  await until(() => api.events.size === 2);
});

test('is one for all agents', async () => {
  const { api, recorder } = await start();
  const other = recorderOn(api, 'n2');
  recorder.update([refused('a')], find);
  await until(() => api.events.size === 1);
  other.update([refused('a')], find);
  await until(() => posts(api) === 2);
  other.update([refused('a')], find);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([api.events.size, posts(api)]).toEqual([1, 2]);
});

test('many at once are written slowly', async () => {
  const { api, recorder } = await start(10_000);
  recorder.update(
    Array.from({ length: 100 }, (_, index) => refused(`p${index}`)),
    find,
  );
  await until(() => api.events.size === 10);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(api.events.size).toBe(10);
});

test('one that is mended before its turn is never written', async () => {
  const { api, recorder } = await start(100);
  recorder.update(
    Array.from({ length: 20 }, (_, index) => refused(`p${index}`)),
    find,
  );
  await until(() => api.events.size >= 10);
  recorder.update([], find);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(api.events.size).toBeLessThanOrEqual(11);
});

test('what may not be written is not asked for again and again', async () => {
  const { api, recorder } = await start();
  api.forbidden.add('events');
  recorder.update([refused('a'), refused('b')], find);
  await until(() => posts(api) === 1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(posts(api)).toBe(1);
});

test('warnings, sources and objects that are gone have no Event', () => {
  const warning: Diagnostic = { ...refused('a'), severity: 'warning' };
  expect(notesOf([warning, { severity: 'error', object: '', message: 'x' }]).size).toBe(0);
});

test('notes and names are as long as they may be', () => {
  const event = objectEvent(policy('a'.repeat(253)), 'n'.repeat(3000), { nodeName: 'n1', now: new Date(0) });
  expect(event.name.length).toBeLessThanOrEqual(253);
  expect(JSON.stringify(event.body)).toContain(`${'n'.repeat(1021)}..."`);
  expect(event.body).toMatchObject({ eventTime: '1970-01-01T00:00:00.000000Z' });
});

test('on what has no namespace it lies in default', () => {
  const node: ClusterObject = { kind: 'Node', name: 'n1', uid: 'u', labels: {}, addresses: [], podCidrs: [] };
  const { path, body } = objectEvent(node, 'x', { nodeName: 'n1', now: new Date(0) });
  expect(path).toBe('/apis/events.k8s.io/v1/namespaces/default/events');
  expect(body).toMatchObject({ regarding: { apiVersion: 'v1', kind: 'Node', name: 'n1' } });
});
