/** The text that Prometheus gets of an agent that has had trouble: every metric of it, by its value. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LiveAgentView } from '../../src/agent/agent-view.ts';
import { fillRatios } from '../../src/agent/counts.ts';
import { openSource } from '../../src/agent/cluster-source.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { MachineVersions } from '../../src/telemetry/status.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { FakeKubeApi } from '../fakes/kube-api.ts';
import { paths } from '../kube/following.ts';
import { policy, labels } from '../policy/objects.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';

/** The wall clock of the fixture stands; a write at its zero would look like none. */
const wallClock = new Date('2026-01-01T00:00:00.000Z');

/** The API server is a real one on loopback, and this machine may have much to do. */
const patience = { timeout: 15_000, interval: 20 };

let started: StartedAgent | undefined;
let versions: MachineVersions | undefined;

beforeEach(() => {
  versions = undefined;
});
afterEach(async () => {
  if (started !== undefined) await stopAgent(started);
});

function viewOf({ agent, metrics, readiness }: StartedAgent): LiveAgentView {
  const identity = {
    version: '0.1.0',
    node: 'minikube',
    pid: 7,
    startedAt: '2026-01-01T00:00:00.000Z',
    source: 'cluster',
    ipFamilies: ['ipv4'],
    iptablesBackend: 'nft',
  } as const;
  return new LiveAgentView({ agent, metrics, readiness, identity, versions: () => versions });
}

/** Series to value. */
async function scrape(agent: StartedAgent): Promise<Readonly<Record<string, number>>> {
  const lines = (await viewOf(agent).metricsText()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

function start(kernel = new FakeKernel()): StartedAgent {
  const agent = startAgent(kernel, { now: () => wallClock });
  started = agent;
  return agent;
}

test('what there is to count: rules, sets, objects, pods, by what the kernel holds', async () => {
  const agent = start();
  agent.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
  await run(agent);
  const found = await scrape(agent);
  const saved = agent.kernel.table('ip', 'filter').save().split('\n');
  expect(found['sluice_chains{family="ipv4",table="filter"}']).toBe(
    saved.filter((line) => line.startsWith(':cali-')).length,
  );
  expect(found['sluice_rules{family="ipv4",table="filter"}']).toBe(
    saved.filter((line) => line.startsWith('-A ')).length,
  );
  expect(found['sluice_chains{family="ipv6",table="filter"}']).toBe(0);
  const { names } = agent.kernel.sets;
  const members = names.flatMap((name) => [...(agent.kernel.sets.get(name)?.members ?? [])]);
  expect(found['sluice_ipsets{family="ipv4"}']).toBe(names.length);
  expect(found['sluice_ipset_members{family="ipv4"}']).toBe(members.length);
  // Three addresses in the set of known pods, with the least room that a set has.
  expect(found['sluice_ipset_fill_ratio{family="ipv4"}']).toBeCloseTo(3 / 65_536, 8);
  expect(found['sluice_ipset_fill_ratio{family="ipv6"}']).toBe(0);
  expect(found).toMatchObject({
    'sluice_cluster_objects{kind="Namespace"}': 1,
    'sluice_cluster_objects{kind="Pod"}': 3,
    'sluice_cluster_objects{kind="NetworkPolicy"}': 1,
    'sluice_cluster_objects{kind="Service"}': 0,
    'sluice_local_endpoints{programmed="true"}': 3,
    'sluice_local_endpoints{programmed="false"}': 0,
    'sluice_diagnostics{severity="error"}': 0,
    'sluice_diagnostics{severity="warning"}': 0,
    'sluice_part_ready{part="source"}': 1,
    'sluice_part_ready{part="node"}': 1,
    'sluice_part_ready{part="kernel"}': 1,
    sluice_compile_duration_seconds_count: 1,
    'sluice_apply_duration_seconds_count{kind="first"}': 1,
    'sluice_programming_latency_seconds_count{kind="Pod"}': 1,
    sluice_reconcile_errors_total: 0,
    sluice_oldest_pending_change_seconds: 0,
    sluice_last_write_timestamp_seconds: wallClock.getTime() / 1000,
  });
});

test('of each family the fullest set counts, by the room that the kernel gave it', () => {
  const made = (name: string, family: 'ipv4' | 'ipv6', count: number, maxElements: number) => {
    const members = new Set(Array.from({ length: count }, (_, index) => `${index}`));
    return [name, { name, family, type: 'hash:ip', maxElements, members }] as const;
  };
  const sets = new Map([made('a', 'ipv4', 30, 40), made('b', 'ipv4', 50, 100), made('c', 'ipv6', 9, 10)]);
  expect([...fillRatios(sets)]).toEqual([
    ['ipv4', 0.75],
    ['ipv6', 0.9],
  ]);
});

test('before anything is known: nothing is ready, and the oldest change grows old', async () => {
  const agent = start();
  agent.source.deliver({ changes: seedChanges(), synced: false });
  await run(agent);
  await agent.clock.advance(7000);
  expect(await scrape(agent)).toMatchObject({
    'sluice_part_ready{part="source"}': 0,
    'sluice_part_ready{part="node"}': 0,
    'sluice_part_ready{part="kernel"}': 0,
    'sluice_cluster_objects{kind="Pod"}': 3,
    sluice_last_write_timestamp_seconds: 0,
  });
  expect((await scrape(agent))['sluice_oldest_pending_change_seconds']).toBeGreaterThanOrEqual(7);
});

test('a refused object, a failed write, a part that is not ready: each shows, and goes with its cause', async () => {
  const agent = start();
  agent.kernel.refuses = (rule) => rule.includes('cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge');
  agent.node.hidden.add('10.88.0.24');
  const warning = { severity: 'warning', object: 'Service default/x', message: 'looks odd' } as const;
  agent.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [warning] });
  await run(agent);
  expect(await scrape(agent)).toMatchObject({
    'sluice_diagnostics{severity="error"}': 1,
    'sluice_diagnostics{severity="warning"}': 1,
    'sluice_local_endpoints{programmed="true"}': 2,
    'sluice_local_endpoints{programmed="false"}': 1,
    'sluice_part_ready{part="kernel"}': 1,
  });
  const killed = new CommandError({ argv: ['iptables-nft-restore'], exitCode: 137, stderr: 'killed' });
  for (let time = 0; time < 6; time += 1) agent.kernel.failNext(/restore/, killed);
  const closed = policy('default/closed', { podSelector: labels({ app: 'frontend' }), ingress: [] });
  agent.source.deliver({ changes: [set(closed)], synced: true });
  await run(agent);
  await agent.clock.advance(50);
  const during = await scrape(agent);
  expect(during['sluice_part_ready{part="kernel"}']).toBe(0);
  expect(during['sluice_reconcile_errors_total']).toBeGreaterThan(0);
  expect(during['sluice_oldest_pending_change_seconds']).toBeGreaterThanOrEqual(0.05);
  agent.kernel.clearFailures();
  agent.kernel.refuses = () => false;
  agent.node.hidden.clear();
  agent.node.change();
  agent.source.deliver({ changes: [], synced: true, diagnostics: [] });
  for (let round = 0; round < 4; round += 1) await run(agent, 90_000);
  await run(agent);
  expect(await scrape(agent)).toMatchObject({
    'sluice_diagnostics{severity="error"}': 0,
    'sluice_diagnostics{severity="warning"}': 0,
    'sluice_local_endpoints{programmed="false"}': 0,
    'sluice_part_ready{part="kernel"}': 1,
    sluice_oldest_pending_change_seconds: 0,
    sluice_reconcile_errors_total: during['sluice_reconcile_errors_total'],
  });
});

test('what runs: versions as soon as they are known, one series of them', async () => {
  const agent = start();
  const unknown = 'sluice_build_info{version="0.1.0",iptables="",variant="nft",ipset="",kernel=""}';
  expect(await scrape(agent)).toMatchObject({ [unknown]: 1 });
  versions = { iptables: '1.8.9', ipset: '7.17', kernel: '6.18.0' };
  const infos = Object.entries(await scrape(agent)).filter(([series]) => series.startsWith('sluice_build_info'));
  const known = 'sluice_build_info{version="0.1.0",iptables="1.8.9",variant="nft",ipset="7.17",kernel="6.18.0"}';
  expect(infos).toEqual([[known, 1]]);
});

test('following an API server: lists, watches, events and errors of each kind', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-metrics-'));
  const api = await FakeKubeApi.start();
  try {
    const file = join(directory, 'kubeconfig');
    const config = {
      'current-context': 'x',
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: api.url } }],
      users: [{ name: 'u', user: {} }],
    };
    writeFileSync(file, JSON.stringify(config));
    api.store.put(paths.nodes, { metadata: { name: 'minikube' }, spec: { podCIDR: '10.88.0.0/16' } });
    api.failures.push({ path: paths.policies, kind: 'watch', status: 500 });
    const metrics = createMetrics();
    const opened = await openSource({
      config: loadConfig({ flags: { kubeconfig: file }, environment: {} }),
      nodeName: 'minikube',
      environment: {},
      logger: createLogger('error', { write: () => undefined }),
      metrics,
      isFreshNode: () => Promise.resolve(true),
    });
    const agent = startAgent(new FakeKernel(), { source: opened.source, metrics });
    started = { ...agent, metrics };
    const found = () => scrape({ ...agent, metrics });
    await vi.waitFor(
      async () => expect((await found())['sluice_kube_errors_total{kind="NetworkPolicy"}']).toBe(1),
      patience,
    );
    await vi.waitFor(() => expect(api.watches(paths.policies).length).toBeGreaterThan(1), patience);
    api.store.put(paths.policies, { metadata: { name: 'p', namespace: 'demo' }, spec: { podSelector: {} } });
    await vi.waitFor(async () => {
      await run(agent);
      expect(await found()).toMatchObject({
        'sluice_kube_events_total{kind="NetworkPolicy"}': 1,
        'sluice_cluster_objects{kind="NetworkPolicy"}': 1,
      });
    }, patience);
    expect(await found()).toMatchObject({
      'sluice_kube_lists_total{kind="NetworkPolicy"}': 1,
      'sluice_kube_watches_total{kind="NetworkPolicy"}': 2,
      'sluice_kube_errors_total{kind="NetworkPolicy"}': 1,
      'sluice_kube_lists_total{kind="Pod"}': 1,
      'sluice_kube_watches_total{kind="Pod"}': 1,
    });
    expect(await found()).not.toHaveProperty('sluice_kube_errors_total{kind="Pod"}');
    await stopAgent(agent);
  } finally {
    started = undefined;
    await api.stop();
    rmSync(directory, { recursive: true });
  }
});
