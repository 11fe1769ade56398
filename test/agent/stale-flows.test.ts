/** UDP flows that outlive what they were for: found and ended beside the loop that writes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StaleFlows } from '../../src/agent/stale-flows.ts';
import type { ClusterObject, Endpoint } from '../../src/cluster/objects.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';
import { TrackedFlows } from '../fakes/tracked-flows.ts';
import { Bench, endpoint, options, service, slice } from '../service/fixtures.ts';

const toFirst = 'udp 10.0.0.7 172.30.0.41:53 -> 10.0.0.1:5353';
const toFirstToo = 'udp 10.0.0.8 172.30.0.41:53 -> 10.0.0.1:5353';
const toSecond = 'udp 10.0.0.7 172.30.0.41:53 -> 10.0.1.1:5353';
const byNodePort = 'udp 198.51.100.7 192.168.0.2:30053 -> 10.0.0.1:5353';
const elsewhere = 'udp 10.0.0.7 198.51.100.7:30053 -> 198.51.100.7:30053';
const overTcp = 'tcp 10.0.0.7 172.30.0.41:53 -> 10.0.0.1:5353';
const unknown = 'udp 10.0.0.7 172.30.0.41:53 -> 172.30.0.41:53';
const ofPortmap = 'udp 198.51.100.7 192.168.0.2:9999 -> 10.0.0.1:5353';

const one = endpoint('10.0.0.1', 'here');
const two = endpoint('10.0.1.1');

/** A run directory that outlives an agent. */
class MadeMemory {
  frontends: readonly string[] = [];
  isFull = false;
  writes = 0;

  async read(): Promise<readonly string[]> {
    await Promise.resolve();
    return this.frontends;
  }

  async remember(frontends: readonly string[]): Promise<void> {
    await Promise.resolve();
    if (this.isFull) throw new Error('ENOSPC: no space left on device');
    this.writes += 1;
    this.frontends = frontends;
  }
}

let clock: ManualClock;
let conntrack: TrackedFlows;
let flows: StaleFlows;
let bench: Bench;
let warnings: number;
let memory: MadeMemory;
let metrics: ReturnType<typeof createMetrics>;
let abort: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  clock = new ManualClock();
  conntrack = new TrackedFlows();
  bench = new Bench();
  warnings = 0;
  metrics = createMetrics();
  const logger = createLogger('warn', { write: () => void (warnings += 1) });
  memory = new MadeMemory();
  flows = new StaleFlows({ conntrack, families: ['ipv4', 'ipv6'], frontendMemory: memory, clock, logger, metrics });
  abort = new AbortController();
  ended = flows.run(abort.signal);
  set(dns(), ends(one, two));
  await pass(2000);
  conntrack.dumps = 0;
});
afterEach(async () => {
  abort.abort();
  await ended;
});

function dns(nodePort = 30_053, clusterIps: readonly string[] = ['172.30.0.41']) {
  return service('ns/dns', { type: 'NodePort', clusterIps, ports: [{ protocol: 'UDP', port: 53, nodePort }] });
}

function ends(...endpoints: readonly Endpoint[]) {
  return slice('ns/dns', endpoints, { ports: [{ name: '', protocol: 'UDP', port: 5353 }] });
}

function set(...objects: readonly ClusterObject[]): void {
  bench.set(...objects);
  written();
}

/** Decided, and not written yet. */
function note(...objects: readonly ClusterObject[]): Promise<void> {
  bench.set(...objects);
  return flows.note([bench.stage.plan.services.get('ns/dns')], options);
}

function written(): void {
  flows.written([['ns/dns', bench.stage.plan.services.get('ns/dns')]], options);
}

async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 50) {
    for (let turn = 0; turn < 20; turn += 1) await settle();
    await clock.advance(50);
  }
}

test('105: an endpoint goes: its flows end, the others’ go on', async () => {
  conntrack.add(toFirst, toFirstToo, toSecond, byNodePort, elsewhere, overTcp, ofPortmap);
  set(ends(two));
  await pass(1000);
  expect(conntrack.texts).toEqual([toSecond, elsewhere, overTcp, ofPortmap]);
  // Two clients of one frontend and one server are one deletion; IPv6 is not dumped where there is none.
  expect([conntrack.dumps, conntrack.deletions]).toEqual([1, 2]);
  expect(await metrics.registry.getSingleMetricAsString('sluice_udp_flows_deleted_total')).toContain('total 3');
});

test('110: the last endpoint goes, the Service goes: no flow stays behind', async () => {
  conntrack.add(toFirst);
  set(ends());
  await pass(1000);
  expect(conntrack.texts).toEqual([]);
  set(ends(one));
  await pass(1000);
  conntrack.add(toFirst, byNodePort, elsewhere, ofPortmap);
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/dns' }]);
  written();
  await pass(1000);
  expect(conntrack.texts).toEqual([elsewhere, ofPortmap]);
});

test('another nodePort, another ClusterIP: flows to those of before end', async () => {
  conntrack.add(toFirst, byNodePort);
  set(dns(30_054));
  await pass(1000);
  expect(conntrack.texts).toEqual([toFirst]);
  set(dns(30_054, ['172.30.0.42']));
  await pass(1000);
  expect(conntrack.texts).toEqual([]);
});

test('106: a client that was there first reaches the first endpoint', async () => {
  set(ends());
  await pass(1000);
  conntrack.add(unknown);
  set(ends(one));
  await pass(1000);
  expect(conntrack.texts).toEqual([]);
});

test('a burst is one dump; an endpoint more is none', async () => {
  set(ends(one));
  set(ends(two));
  set(ends(one, two));
  await pass(1000);
  expect(conntrack.dumps).toBe(1);
  set(ends(one, two, endpoint('10.0.2.1')));
  await pass(1000);
  expect(conntrack.dumps).toBe(1);
});

test('a Service that came and went within a burst leaves nothing', async () => {
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/dns' }]);
  written();
  set(dns(30_055));
  conntrack.add('udp 198.51.100.7 192.168.0.2:30055 -> 10.0.0.1:5353');
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/dns' }]);
  written();
  await pass(1000);
  expect(conntrack.texts).toEqual([]);
});

test('a dump that fails is done again, for what had changed before it too', async () => {
  conntrack.add(byNodePort);
  conntrack.isBroken = true;
  set(dns(30_054));
  await pass(1000);
  expect(conntrack.texts).toEqual([byNodePort]);
  expect(warnings).toBeGreaterThan(0);
  conntrack.isBroken = false;
  await pass(2000);
  expect(conntrack.texts).toEqual([]);
});

test('what went while no agent ran is found by the next one', async () => {
  expect(memory.frontends).toEqual(['127.0.0.1:30053', '172.30.0.41:53', '192.168.0.2:30053']);
  abort.abort();
  await ended;
  conntrack.add(toFirst, byNodePort, ofPortmap);
  const next = new AbortController();
  const logger = createLogger('warn', { write: () => undefined });
  const parts = { conntrack, families: ['ipv4'] as const, frontendMemory: memory, clock, logger, metrics };
  const second = new StaleFlows(parts);
  const secondEnded = second.run(next.signal);
  second.written([], options);
  await pass(1000);
  expect(conntrack.texts).toEqual([ofPortmap]);
  expect(memory.frontends).toEqual([]);
  next.abort();
  await secondEnded;
});

test('what is about to be served is remembered before the kernel has it', async () => {
  await note(dns(30_054));
  expect(memory.frontends).toEqual([
    '127.0.0.1:30053',
    '127.0.0.1:30054',
    '172.30.0.41:53',
    '192.168.0.2:30053',
    '192.168.0.2:30054',
  ]);
  written();
  await pass(1000);
  expect(memory.frontends).toEqual(['127.0.0.1:30054', '172.30.0.41:53', '192.168.0.2:30054']);
  const { writes } = memory;
  await note(ends(one, two));
  expect(memory.writes).toBe(writes);
});

test('a round that ends while an update is written forgets nothing of it', async () => {
  set(ends(two));
  await note(dns(30_054));
  await pass(1000);
  expect(conntrack.dumps).toBe(1);
  expect(memory.frontends).toContain('192.168.0.2:30054');
});

test('what is gone is remembered for as long as its flows may be there', async () => {
  conntrack.add(toFirst);
  conntrack.isBroken = true;
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/dns' }]);
  written();
  await pass(1000);
  const later = new Bench().set(dns(30_054, ['172.30.0.42']));
  await flows.note([later.planned('ns/dns')], options);
  expect(memory.frontends).toContain('172.30.0.42:53');
  expect(memory.frontends).toContain('172.30.0.41:53');
  conntrack.isBroken = false;
  await pass(2000);
  expect(conntrack.texts).toEqual([]);
  expect(memory.frontends).not.toContain('172.30.0.41:53');
});

test('the first update of an agent does not forget what the one before it served', async () => {
  const logger = createLogger('warn', { write: () => undefined });
  const second = new StaleFlows({ conntrack, families: ['ipv4'], frontendMemory: memory, clock, logger, metrics });
  const other = service('ns/dns', { clusterIps: ['172.30.0.99'], ports: [{ protocol: 'UDP', port: 53 }] });
  await second.note([new Bench().set(other).planned('ns/dns')], options);
  expect(memory.frontends).toEqual(['127.0.0.1:30053', '172.30.0.41:53', '172.30.0.99:53', '192.168.0.2:30053']);
});

test('where nothing can be remembered flows are ended all the same', async () => {
  memory.isFull = true;
  conntrack.add(byNodePort);
  set(dns(30_054));
  await pass(1000);
  expect(conntrack.texts).toEqual([]);
  expect(warnings).toBe(1);
});
