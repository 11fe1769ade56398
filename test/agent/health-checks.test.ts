/** What a load balancer hears on a healthCheckNodePort, by real HTTP (kube-proxy.md 2.6, scenarios 69, 119, 120). */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ServiceKeeper } from '../../src/agent/service-keeper.ts';
import type { ClusterObject, Endpoint } from '../../src/cluster/objects.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { idleServiceParts } from './idle-service-parts.ts';
import { Bench, cidr, endpoint, options, service, servingTerminating, slice, tcp } from '../service/fixtures.ts';

const localhost = { ...options, nodePortAddresses: [cidr('127.0.0.0/8')] };
const here = endpoint('10.0.0.1', 'here');
const there = endpoint('10.0.1.1');

let bench: Bench;
let clock: ManualClock;
let keeper: ServiceKeeper;
let port: number;
let warnings: number;
let abort: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  bench = new Bench();
  clock = new ManualClock();
  port = await freePort();
  warnings = 0;
  const logger = createLogger('warn', { write: () => void (warnings += 1) });
  keeper = new ServiceKeeper({
    ...idleServiceParts(),
    clock,
    logger,
    metrics: createMetrics(),
  });
  abort = new AbortController();
  ended = keeper.run(abort.signal);
});
afterEach(async () => {
  abort.abort();
  await ended;
});

function balanced(policy: 'Local' | 'Cluster' = 'Local', healthCheckNodePort = port) {
  return service('ns/web', {
    type: 'LoadBalancer',
    loadBalancerIps: ['1.2.3.4'],
    externalTrafficPolicy: policy,
    healthCheckNodePort,
    ports: [{ name: 'a' }, { name: 'b', port: 81 }],
  });
}

function ends(...endpoints: readonly Endpoint[]) {
  return slice('ns/web', endpoints, { ports: [tcp(80, 'a'), tcp(81, 'b')] });
}

async function note(...objects: readonly ClusterObject[]): Promise<void> {
  bench.set(...objects);
  const { plan } = bench.stage;
  await keeper.note(plan.services.keys(), plan, localhost);
}

async function set(...objects: readonly ClusterObject[]): Promise<void> {
  await note(...objects);
  keeper.written(bench.stage.plan, localhost);
  await pass();
}

/** Sockets open and close in real time. */
async function pass(milliseconds = 10): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    await clock.advance(milliseconds / 5);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  const found = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP socket has one
      resolve((server.address() as AddressInfo).port);
    });
  });
  await new Promise((resolve) => server.close(resolve));
  return found;
}

/** Undefined: nobody listens. */
async function ask(at = port, path = '/'): Promise<Response | undefined> {
  try {
    return await fetch(`http://127.0.0.1:${at}${path}`);
  } catch {
    return undefined;
  }
}

test('119, 120: 200 with local ready endpoints, counted by address, in kube-proxy’s words', async () => {
  await set(balanced(), ends(here, { ...here, addresses: endpoint('10.0.0.2').addresses }, there));
  const response = await ask(port, '/any/path');
  expect(response?.status).toBe(200);
  expect(Object.fromEntries(response?.headers ?? [])).toMatchObject({
    'content-type': 'application/json',
    'x-content-type-options': 'nosniff',
    'x-load-balancing-endpoint-weight': '2',
  });
  expect(await response?.text()).toBe(
    '{\n\t"service": {\n\t\t"namespace": "ns",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
  );
});

test.each([
  ['none', []],
  ['only remote ones', [there]],
  ['only terminating ones', [{ ...here, ...servingTerminating }]],
])('119: 503 with %s', async (_, endpoints) => {
  await set(balanced(), ends(...endpoints));
  const response = await ask();
  expect(response?.status).toBe(503);
  expect(await response?.json()).toMatchObject({ localEndpoints: 0, serviceProxyHealthy: true });
});

test('69: the port opens with policy Local and closes with Cluster, or with the Service', async () => {
  await set(balanced('Cluster'), ends(here));
  expect(await ask()).toBeUndefined();
  await set(balanced());
  expect((await ask())?.status).toBe(200);
  await set(balanced('Cluster'));
  expect(await ask()).toBeUndefined();
  await set(balanced());
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/web' }]);
  await keeper.note(['ns/web'], bench.stage.plan, localhost);
  keeper.written(bench.stage.plan, localhost);
  await pass();
  expect(await ask()).toBeUndefined();
});

test('another port: the old one is closed', async () => {
  await set(balanced(), ends(here));
  const other = await freePort();
  await set(balanced('Local', other));
  expect(await ask()).toBeUndefined();
  expect((await ask(other))?.status).toBe(200);
});

test('where nodePorts answer may change without a Service: the socket goes with them', async () => {
  await set(balanced(), ends(here));
  expect((await ask())?.status).toBe(200);
  const { plan } = bench.stage;
  keeper.written(plan, { ...options, nodePortAddresses: [cidr('203.0.113.0/24')] });
  await pass();
  expect(await ask()).toBeUndefined();
  keeper.written(plan, localhost);
  await pass();
  expect((await ask())?.status).toBe(200);
});

test('120, 121: what is not in the kernel yet is not told; for a minute, then the node is unfit', async () => {
  await set(balanced(), ends(here));
  await note(ends());
  expect((await ask())?.status).toBe(200);
  await clock.advance(60_000);
  const response = await ask();
  expect(response?.status).toBe(503);
  expect(await response?.json()).toMatchObject({ localEndpoints: 1, serviceProxyHealthy: false });
  expect(keeper.isHealthy).toBe(false);
  await set(ends(here));
  expect((await ask())?.status).toBe(200);
  expect(keeper.isHealthy).toBe(true);
});

test('a port that another program has is a warning, and is tried again', async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
  await set(balanced(), ends(here));
  expect(keeper.diagnostics).toEqual([
    {
      severity: 'error',
      object: 'Service ns/web',
      path: 'spec.healthCheckNodePort',
      message: `nobody answers the load balancer's health checks here: port ${port} of 127.0.0.1: already in use by another process`,
    },
  ]);
  await pass(5000);
  expect(warnings).toBe(1);
  await new Promise((resolve) => squatter.close(resolve));
  await pass(10_000);
  expect(keeper.diagnostics).toEqual([]);
  expect((await ask())?.status).toBe(200);
});

test('at the end nobody answers', async () => {
  await set(balanced(), ends(here));
  abort.abort();
  await ended;
  expect(await ask()).toBeUndefined();
});
