/** What people are told by Events: the agent with its own recorders on an API server that is strict about them. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AgentParts } from '../../src/agent/agent.ts';
import { ServiceKeeper } from '../../src/agent/service-keeper.ts';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { EventRecorder } from '../../src/kube/event-recorder.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { RepairRecorder } from '../../src/kube/repair-recorder.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { FakeKubeApi } from '../fakes/kube-api.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { idleServiceParts } from './idle-service-parts.ts';
import { seedOptions } from '../compile/seed-cluster.ts';
import { cidr, endpoint, options, service, slice } from '../service/fixtures.ts';
import { openAccess } from '../kube/following.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';

const nodeObject: ClusterObject = {
  kind: 'Node',
  name: 'minikube',
  uid: 'uid-minikube',
  labels: {},
  addresses: [],
  podCidrs: [],
};
const tenMinutes = 10 * 60_000;

let api: FakeKubeApi;
let client: KubeClient;
let started: StartedAgent;
/** Of the Events about drift, so that ten minutes need not pass. */
let repairClock: ManualClock;

beforeEach(async () => {
  api = await FakeKubeApi.start();
  client = new KubeClient({ access: openAccess(api.url), userAgent: 'test' });
  repairClock = new ManualClock();
});
afterEach(async () => {
  await stopAgent(started);
  client.close();
  await api.stop();
});

function reporters(): Partial<AgentParts> {
  const logger = createLogger('error', { write: () => undefined });
  const common = { client, nodeName: 'minikube', now: () => new Date(1_000_000 + repairClock.now()), logger };
  return {
    reporter: new EventRecorder({ ...common, clock: systemClock, pauseMs: 5 }),
    repairs: new RepairRecorder({ ...common, clock: repairClock }),
  };
}

async function bringUp(kernel = new FakeKernel()): Promise<void> {
  started = startAgent(kernel, reporters());
  started.source.deliver({ changes: [set(nodeObject), ...seedChanges()], synced: true, diagnostics: [] });
  await run(started);
}

/** Somebody empties a chain of ours, and it is found. A slow compare is rested from for ten times as long. */
async function drift(chain: string): Promise<void> {
  started.kernel.table('ip', 'filter').setChain(chain, []);
  started.drift.change('filter');
  await run(started, 200);
  await run(started, 60_000);
}

const events = () => [...api.events.values()];
const posts = () => api.seen.filter(({ method }) => method === 'POST').length;

function untilEvents(count: number): Promise<void> {
  return vi.waitFor(() => expect(events()).toHaveLength(count), { timeout: 15_000, interval: 5 });
}

/** The recorder has had its answer and rests. */
function untilResting(): Promise<void> {
  return vi.waitFor(() => expect(repairClock.pending).toHaveLength(1), { timeout: 15_000, interval: 5 });
}

/** Long enough for one more, had there been any. */
async function noMore(): Promise<void> {
  const { length } = events();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(events()).toHaveLength(length);
}

test('an object that the kernel refuses has an Event, on the object that is in the cluster', async () => {
  const kernel = new FakeKernel();
  kernel.refuses = (rule) => rule.includes('cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge');
  await bringUp(kernel);
  await untilEvents(1);
  expect(events()[0]).toMatchObject({
    reason: 'Refused',
    reportingInstance: 'minikube',
    regarding: { kind: 'NetworkPolicy', namespace: 'default', name: 'allow-db-access' },
  });
});

test.each([
  ['Namespace', 'Namespace default', { kind: 'Namespace', name: 'default' }],
  ['Node', 'Node minikube', { kind: 'Node', name: 'minikube', uid: 'uid-minikube' }],
  ['Pod', 'Pod default/db-8d66ff5f7-bp6kf', { kind: 'Pod', namespace: 'default', name: 'db-8d66ff5f7-bp6kf' }],
])('what the source says of a %s is told on it', async (_kind, object, regarding) => {
  started = startAgent(new FakeKernel(), reporters());
  const mistake = { severity: 'error', object, message: 'is not understood' } as const;
  started.source.deliver({ changes: [set(nodeObject), ...seedChanges()], synced: true, diagnostics: [mistake] });
  await run(started);
  await untilEvents(1);
  expect(events()[0]).toMatchObject({ note: 'is not understood', regarding });
});

test('119: a health check port that another program has is told on its Service, and no more once it is open', async () => {
  const squatter = createServer();
  const port = await new Promise<number>((resolve) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP socket has one
    squatter.listen(0, '127.0.0.1', () => resolve((squatter.address() as AddressInfo).port));
  });
  const clock = new ManualClock();
  const keeper = new ServiceKeeper({
    ...idleServiceParts(),
    clock,
    logger: createLogger('error', { write: () => undefined }),
    metrics: createMetrics(),
  });
  const services = { ...options, nodeName: 'minikube', nodePortAddresses: [cidr('127.0.0.0/8')] };
  started = startAgent(new FakeKernel(), {
    ...reporters(),
    services: keeper,
    compileOptions: () => ({ ...seedOptions, services }),
  });
  const shape = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: port } as const;
  const web = service('default/web', { ...shape, loadBalancerIps: ['203.0.113.1'] });
  const changes = [set(nodeObject), ...seedChanges(), set(web), set(slice('default/web', [endpoint('10.0.0.1')]))];
  started.source.deliver({ changes, synced: true });
  await run(started);
  await vi.waitFor(async () => {
    await clock.advance(10);
    expect(keeper.diagnostics).toHaveLength(1);
  });
  await run(started, 5000);
  await untilEvents(1);
  expect(events()[0]).toMatchObject({
    regarding: { kind: 'Service', namespace: 'default', name: 'web' },
    note: expect.stringContaining(`port ${port} of 127.0.0.1: already in use`),
  });
  await new Promise((resolve) => squatter.close(resolve));
  await vi.waitFor(async () => {
    await clock.advance(10_000);
    expect(keeper.diagnostics).toEqual([]);
  });
  await run(started, 5000);
  await noMore();
});

test.each(['Pod default/gone', 'Deployment default/db', 'nothing'])(
  '%s is no object of ours: no Event',
  async (object) => {
    started = startAgent(new FakeKernel(), reporters());
    const mistake = { severity: 'error', object, message: 'is not understood' } as const;
    started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [mistake] });
    await run(started);
    await noMore();
    expect(posts()).toBe(0);
  },
);

test('drift that was mended is an Event on the Node', async () => {
  await bringUp();
  await noMore();
  expect(events()).toEqual([]);
  await drift('cali-FORWARD');
  await untilEvents(1);
  expect(events()[0]).toMatchObject({
    type: 'Warning',
    reason: 'DriftMended',
    reportingInstance: 'minikube',
    regarding: { apiVersion: 'v1', kind: 'Node', name: 'minikube', uid: 'uid-minikube' },
    note: 'another program changed what Sluice enforces, which was mended once: ipv4 filter chain cali-FORWARD',
  });
});

test('drift without end is one Event in ten minutes, with everything since the last one', async () => {
  await bringUp();
  await drift('cali-FORWARD');
  await untilEvents(1);
  await untilResting();
  for (const chain of ['cali-INPUT', 'cali-self', 'cali-INPUT']) await drift(chain);
  await repairClock.advance(tenMinutes - 1);
  await noMore();
  expect(started.agent.kernel.driftRepairs).toBe(4);
  expect(posts()).toBe(1);
  await repairClock.advance(1);
  await untilEvents(2);
  expect(events()[1]?.['note']).toContain('mended 3 times: ipv4 filter chain cali-INPUT, ipv4 filter chain cali-self');
  await untilResting();
  await repairClock.advance(tenMinutes * 10);
  await noMore();
});

test('an Event about drift that is not taken is tried again, with what came since', async () => {
  await bringUp();
  api.forbidden.add('events');
  await drift('cali-FORWARD');
  await vi.waitFor(() => expect(posts()).toBe(1), { timeout: 15_000, interval: 5 });
  await untilResting();
  await drift('cali-INPUT');
  await noMore();
  expect(posts()).toBe(1);
  api.forbidden.clear();
  await repairClock.advance(tenMinutes);
  await untilEvents(1);
  expect(events()[0]?.['note']).toContain('2 times');
});

test('drift on a node that has no Node object is told by log and metric alone', async () => {
  started = startAgent(new FakeKernel(), reporters());
  started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
  await run(started);
  await drift('cali-FORWARD');
  expect(started.agent.kernel.driftRepairs).toBe(1);
  await noMore();
  expect(posts()).toBe(0);
});
