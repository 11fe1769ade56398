/** Open connections and policies that come and go, on a kernel and a conntrack table that are only pretended. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ConversationTable } from '../../src/backends/conntrack/conversations.ts';
import type { ReadConversations } from '../../src/agent/cut-keeper.ts';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { FakeConntrack } from '../fakes/conntrack.ts';
import type { FakeKernel } from '../fakes/kernel.ts';
import { node } from '../lab/cluster.ts';
import { labels, pod, policy } from '../policy/objects.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';
import type { StartedAgent } from './agent-fixture.ts';

const frontend = '10.88.0.24';
const backend = '10.88.0.27';
const db = '10.88.0.26';
const remote = '10.99.0.5';
/** The seed's policy lets the backend alone reach the db. */
const denied = `${frontend},tcp:5432,${db}`;
const allowed = `${backend},tcp:5432,${db}`;
const elsewhere = `${frontend},tcp:80,${backend}`;
const fromNode = `192.0.2.1,tcp:5432,${db}`;

const denyBackend = policy('default/deny-backend', { podSelector: labels({ app: 'backend' }) });
const remoteFriend = (own: Readonly<Record<string, string>>): ClusterChange =>
  set(pod('default/remote', { ips: [remote], labels: own, node: 'elsewhere' }));
const friendly = { 'networking/allow-db-access': 'true' };

let conntrack: FakeConntrack;
let started: StartedAgent;
beforeEach(() => {
  conntrack = new FakeConntrack();
  started = start();
});
afterEach(() => stopAgent(started));

function start(kernel?: FakeKernel): StartedAgent {
  const table = new ConversationTable(conntrack.run, () => Promise.resolve(undefined));
  const read: ReadConversations = (touching) => table.read(touching);
  return startAgent(kernel, { readConversations: read });
}

async function pass(milliseconds: number, agent = started): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 10) await run(agent, 10);
}

async function bringUp(agent = started): Promise<void> {
  const minikube = node('minikube', ['192.0.2.1'], ['10.88.0.0/24']);
  agent.source.deliver({ changes: [set(minikube), ...seedChanges()], synced: true });
  await pass(600, agent);
}

async function change(...changes: readonly ClusterChange[]): Promise<void> {
  started.source.deliver({ changes, synced: true });
  await pass(30);
}

function cut(): readonly string[] {
  return [...(started.kernel.sets.get('cali40cut')?.members ?? [])].toSorted();
}

function gone({ namespace, name }: NetworkPolicy): ClusterChange {
  return { type: 'delete', kind: 'NetworkPolicy', key: `${namespace}/${name}` };
}

test('at start: what the policies deny, and nothing else', async () => {
  for (const member of [denied, allowed, elsewhere, fromNode]) conntrack.open(member);
  await bringUp();
  expect(cut()).toEqual([denied]);
  expect(conntrack.dumps).toEqual(['all']);
  expect(started.readiness.parts.at(-1)).toEqual({ part: 'connections' });
});

test('a policy that comes later cuts at once, and lets go when it goes, without a dump', async () => {
  await bringUp();
  conntrack.open(elsewhere);
  conntrack.open(elsewhere);
  conntrack.open(allowed);
  await change(set(denyBackend));
  expect(cut()).toEqual([elsewhere]);
  expect(await started.metrics.connectionsCut.get()).toMatchObject({ values: [{ value: 2 }] });
  expect(started.log.filter(({ msg }) => msg === 'connections were cut')).toMatchObject([
    { connections: 2, members: 1 },
  ]);
  await pass(600);
  await change(gone(denyBackend));
  expect(cut()).toEqual([]);
  conntrack.open(elsewhere);
  await pass(2000);
  expect(cut()).toEqual([]);
});

test('a label that goes cuts; one that comes lets go, and asks for no dump', async () => {
  const fromRemote = `${remote},tcp:5432,${db}`;
  await bringUp();
  await change(remoteFriend(friendly));
  conntrack.open(fromRemote);
  conntrack.open(allowed);
  expect(conntrack.dumps).toHaveLength(1);
  await change(remoteFriend({}));
  expect(cut()).toEqual([fromRemote]);
  await pass(600);
  expect(conntrack.dumps).toHaveLength(2);
  await change(remoteFriend(friendly));
  expect(cut()).toEqual([]);
  await pass(600);
  expect(conntrack.dumps).toHaveLength(2);
});

test('a burst of changes is a few dumps, and no connection is cut later than a second', async () => {
  await bringUp();
  await pass(2000);
  conntrack.open(elsewhere);
  for (let turn = 0; turn < 10; turn += 1) {
    await change(remoteFriend(friendly));
    await change(remoteFriend({}));
  }
  await change(set(denyBackend));
  await pass(1000 - 30);
  expect(cut()).toEqual([elsewhere]);
  await pass(3000);
  expect(conntrack.dumps.length - 1).toBeLessThanOrEqual(4);
  const after = conntrack.dumps.length;
  await pass(3000);
  expect(conntrack.dumps).toHaveLength(after);
});

test('what is cut stays while its connection is tracked, and goes when that was missed twice', async () => {
  await bringUp();
  const close = conntrack.open(elsewhere);
  await change(set(denyBackend));
  await pass(200_000 / 100);
  for (let sweep = 0; sweep < 3; sweep += 1) {
    await run(started, 90_000);
    await pass(600);
  }
  expect(cut()).toEqual([elsewhere]);
  close();
  await run(started, 90_000);
  await pass(600);
  expect(cut()).toEqual([elsewhere]);
  await run(started, 90_000);
  await pass(600);
  expect(cut()).toEqual([]);
  const dumps = conntrack.dumps.length;
  await run(started, 90_000);
  await pass(600);
  expect(conntrack.dumps).toHaveLength(dumps);
});

test('an agent that starts again keeps what is denied, and lets go of what is not', async () => {
  await bringUp();
  conntrack.open(denied);
  conntrack.open(allowed);
  await stopAgent(started);
  const members = started.kernel.sets.get('cali40cut')?.members;
  for (const member of [denied, allowed, 'junk']) members?.add(member);
  started = start(started.kernel);
  await bringUp();
  expect(cut()).toEqual([denied]);
});

test('while conntrack cannot be read the agent is not ready and tries again', async () => {
  await bringUp();
  conntrack.open(elsewhere);
  conntrack.isBroken = true;
  await change(set(denyBackend));
  expect(cut()).toEqual([]);
  expect(started.readiness.parts.at(-1)?.reason).toMatch(
    /^connections that policy denies are not cut: conntrack .*Operation failed/,
  );
  conntrack.isBroken = false;
  await pass(1200);
  expect(cut()).toEqual([elsewhere]);
  expect(started.readiness.isReady).toBe(true);
});

test('a change whose write failed is looked at when it is in', async () => {
  await bringUp();
  conntrack.open(elsewhere);
  for (let times = 0; times < 2; times += 1) started.kernel.failNext(/^iptables-nft-/);
  const dumps = conntrack.dumps.length;
  await change(set(denyBackend));
  expect(started.agent.failures).toBe(1);
  expect(conntrack.dumps).toHaveLength(dumps);
  await pass(300);
  expect(cut()).toEqual([elsewhere]);
});

test('connections that began while our rules were gone are judged when they are mended', async () => {
  await bringUp();
  started.kernel.table('ip', 'filter').setChain('cali-FORWARD', []);
  conntrack.open(denied);
  started.drift.change('filter');
  await pass(2000);
  expect(started.agent.kernel.driftRepairs).toBe(1);
  expect(cut()).toEqual([denied]);
});

test('a set that somebody emptied is filled again', async () => {
  conntrack.open(denied);
  await bringUp();
  started.kernel.sets.get('cali40cut')?.members.clear();
  for (let turn = 0; turn < 2; turn += 1) {
    await run(started, 90_000);
    await pass(600);
  }
  expect(cut()).toEqual([denied]);
});

test('more connections than the set has room for: it is exchanged for a larger one', async () => {
  const first = startAgent();
  await bringUp(first);
  await stopAgent(first);
  const { kernel } = first;
  kernel.sets.put('cali40cut', { type: 'hash:ip,port,ip', family: 'inet', maxElements: 1, members: new Set() });
  const second = denied.replace('5432', '5433');
  conntrack.open(denied);
  conntrack.open(second);
  started = start(kernel);
  await bringUp();
  expect(cut()).toEqual([denied, second]);
  expect(kernel.sets.get('cali40cut')?.maxElements).toBeGreaterThan(1);
});

test('without policies nothing is dumped; kept connections are left', async () => {
  const [, ...changes] = seedChanges().toReversed();
  started.source.deliver({ changes: changes.toReversed(), synced: true });
  conntrack.open(denied);
  await pass(600);
  expect(conntrack.dumps).toEqual([]);
  const keeping = startAgent();
  await bringUp(keeping);
  expect(keeping.readiness.isReady).toBe(true);
  expect(keeping.kernel.sets.get('cali40cut')?.members.size).toBe(0);
  await stopAgent(keeping);
});
