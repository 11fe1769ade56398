/** What happens to a source that follows a real API server for months, in minutes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';
import type { Admin } from './admin.ts';
import { refuseByTwo } from './events-case.ts';
import type { Followed, FollowedSettings } from './followed.ts';
import { followed } from './followed.ts';
import type { Gate } from './gate.ts';
import { allowAgent, freshToken, throttle, withoutPolicies } from './robots.ts';

export interface Stage {
  readonly plane: ControlPlane;
  readonly admin: Admin;
  /** Before the API server; `kubeconfig` goes through it. */
  readonly gate: Gate;
  readonly kubeconfig: string;
  readonly isFull: boolean;
  readonly progress: (line: string) => void;
}

export interface Case {
  readonly name: string;
  run(stage: Stage): Promise<void>;
}

const policies = '/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies';
const pods = '/api/v1/namespaces/demo/pods';
let serial = 0;

export const cases: readonly Case[] = [
  { name: 'a new policy is seen within 200 ms after silence', run: newPolicyAfterSilence },
  { name: 'watches that are cut while objects come and go lose none', run: cutWhileBusy },
  { name: 'a silent half-open connection is found and replaced', run: halfOpen },
  { name: 'an object made anew with the same name between two lists is another one', run: madeAnew },
  { name: 'the API server is restarted', run: apiServerRestarts },
  { name: 'etcd is gone for a while', run: etcdGone },
  { name: 'a token that is replaced is read again', run: tokenReplaced },
  { name: '429 with Retry-After: waited for as long as the API server says, then complete', run: tooManyRequests },
  { name: 'a kind without permission: not synced, until it is granted', run: withoutPermission },
  { name: 'a policy that two agents refuse has one Event', run: refusedPolicy },
  { name: 'a great many pods', run: manyPods },
];

async function newPolicyAfterSilence(stage: Stage): Promise<void> {
  await following(stage, { silenceMs: 1500 }, async (cluster) => {
    const times: string[] = [];
    const late: string[] = [];
    for (let round = 0; round < 10; round += 1) {
      await sleep(1000 + round * 170);
      const ms = await seenAfter(stage, cluster);
      // Where the machine is busy with other things, the API server itself is slow to answer.
      const limit = 200 + 4 * (await stage.admin.roundTrip());
      times.push(ms.toFixed(0));
      if (ms > limit) late.push(`${ms.toFixed(0)} ms, expected ${limit.toFixed(0)} at most`);
    }
    stage.progress(`seen after ${times.join(', ')} ms; ${cluster.counts.watch} watches`);
    if (late.length > 0) throw new Error(`a policy was seen after ${late.join('; ')}`);
    if (cluster.counts.watch <= 14) throw new Error('no watch was replaced: the silence was not tried');
    expectNoLists(cluster);
  });
}

async function cutWhileBusy(stage: Stage): Promise<void> {
  await following(stage, {}, async (cluster) => {
    const prefix = nextName('busy');
    const cutting = setInterval(() => stage.gate.cut(), 150);
    try {
      await stage.admin.createAll(pods, 300, (index) => podOf(`${prefix}-${index}`));
      await Promise.all(range(100).map((index) => stage.admin.delete(`${pods}/${prefix}-${index}`)));
    } finally {
      clearInterval(cutting);
    }
    const own = () => [...cluster.state.pods.keys()].filter((key) => key.startsWith(`demo/${prefix}-`)).length;
    await cluster.until('200 pods are left', () => own() === 200 && !cluster.state.pods.has(`demo/${prefix}-0`));
    stage.progress(`${cluster.counts.watch} watches, ${cluster.counts.list} lists, ${cluster.counts.error} errors`);
    expectNoLists(cluster);
  });
}

async function halfOpen(stage: Stage): Promise<void> {
  await following(stage, { silenceMs: 2000 }, async (cluster) => {
    await cluster.until('watches', () => cluster.counts.watch === 7);
    await sleep(500);
    stage.gate.freeze();
    const ms = await seenAfter(stage, cluster);
    stage.progress(`seen after ${ms.toFixed(0)} ms`);
    if (ms < 500) throw new Error('nothing was frozen');
    if (ms > 4000) throw new Error(`found after ${ms.toFixed(0)} ms, expected about 2000`);
    expectNoLists(cluster);
  });
}

/** An API server that has just started knows no history: what we go on from is too old, a real 410. */
async function madeAnew(stage: Stage): Promise<void> {
  await following(stage, {}, async (cluster) => {
    const name = nextName('anew');
    const gone = nextName('gone');
    await stage.admin.create(pods, podOf(name));
    await stage.admin.create(pods, podOf(gone));
    await cluster.until('pods', () => cluster.state.pods.has(`demo/${name}`) && cluster.state.pods.has(`demo/${gone}`));
    const before = cluster.state.pods.get(`demo/${name}`)?.uid;
    const { list } = cluster.counts;
    stage.gate.close();
    await stage.admin.delete(`${pods}/${name}`);
    await stage.admin.delete(`${pods}/${gone}`);
    await stage.admin.create(pods, podOf(name));
    await stage.plane.restartApiServer();
    stage.gate.open();
    const isNew = () => ![before, undefined].includes(cluster.state.pods.get(`demo/${name}`)?.uid);
    await cluster.until('the new pod', () => isNew() && !cluster.state.pods.has(`demo/${gone}`));
    if (cluster.counts.list === list) throw new Error('nothing was listed again: 410 was not tried');
    if (!cluster.changes.includes(`delete Pod demo/${name}`)) throw new Error('the old pod was never deleted');
    if (!cluster.isSynced()) throw new Error('a new list made the source forget that it was synced');
  });
}

async function apiServerRestarts(stage: Stage): Promise<void> {
  await following(stage, {}, async (cluster) => {
    const known = cluster.state.namespaces.size;
    const before = cluster.changes.length;
    await stage.plane.stopApiServer();
    await cluster.until('the message', () => cluster.messages().some((text) => text.includes('stays in force')));
    if (!cluster.isSynced() || cluster.state.namespaces.size !== known) throw new Error('what was known was forgotten');
    await stage.plane.startApiServer();
    stage.progress(`a policy was seen ${(await seenAfter(stage, cluster)).toFixed(0)} ms after it was made`);
    await cluster.until('no messages', () => cluster.messages().length === 0);
    const gone = cluster.changes.slice(before).filter((line) => line.startsWith('delete'));
    if (gone.length > 0) throw new Error(`it lost ${gone.join(', ')}`);
  });
}

async function etcdGone(stage: Stage): Promise<void> {
  await following(stage, { silenceMs: 3000 }, async (cluster) => {
    const before = cluster.changes.length;
    await stage.plane.stopEtcd();
    await sleep(stage.isFull ? 60_000 : 8000);
    if (!cluster.isSynced()) throw new Error('the source is not synced any more');
    await stage.plane.startEtcd();
    stage.progress(`a policy was seen ${(await seenAfter(stage, cluster)).toFixed(0)} ms after it was made`);
    const gone = cluster.changes.slice(before).filter((line) => line.startsWith('delete'));
    if (gone.length > 0) throw new Error(`it lost ${gone.join(', ')}`);
  });
}

async function tokenReplaced(stage: Stage): Promise<void> {
  const { plane, gate } = stage;
  const tokenFile = join(plane.directory, nextName('token'));
  await allowAgent(plane, 'rotated');
  writeFileSync(tokenFile, await freshToken(plane, 'rotated'));
  const file = join(plane.directory, 'rotated.kubeconfig');
  const server = `https://127.0.0.1:${gate.port}`;
  const kubeconfig = writeKubeconfig(file, server, plane.authority.certificate, { tokenFile });
  await following(stage, { kubeconfig }, async (cluster) => {
    // A token of an account that is gone is refused from then on, as one that has expired.
    await plane.kubectl(['delete', 'serviceaccount', 'rotated', '-n', 'kube-system']);
    await allowAgent(plane, 'rotated');
    // API servers remember a token for some seconds.
    await sleep(12_000);
    gate.cut();
    await cluster.until('the message', () => cluster.messages().some((text) => text.includes('credentials (401)')));
    writeFileSync(tokenFile, await freshToken(plane, 'rotated'));
    await cluster.until('no messages', () => cluster.messages().length === 0);
    stage.progress(`a policy was seen ${(await seenAfter(stage, cluster)).toFixed(0)} ms after it was made`);
    expectNoLists(cluster);
  });
}

/**
 * Priority and fairness lets one request of an account in at a time: others are answered with a 429 that says when to come again. There
 * is always one, for lists of a small cluster are so quick that they need not meet.
 */
async function tooManyRequests(stage: Stage): Promise<void> {
  const { plane } = stage;
  await allowAgent(plane, 'throttled');
  await throttle(plane, 'throttled');
  const kubeconfig = await kubeconfigOf(stage, 'throttled');
  const release = stage.admin.occupy('throttled');
  const cluster = followed({ kubeconfig, silenceMs: 10_000 });
  const letIn = setTimeout(release, 1500);
  try {
    const ms = await cluster.until('synced', () => cluster.isSynced(), 60_000);
    const { error } = cluster.counts;
    const refused = cluster.everyMessage.filter((text) => text.includes('429'));
    stage.progress(`synced after ${ms.toFixed(0)} ms, ${error} refusals: ${refused[0] ?? ''}`);
    if (refused.length === 0) throw new Error(`no 429 was told: ${cluster.everyMessage.join(' | ')}`);
    // Seven kinds that come again once a second, as the header asks; a client that takes no notice asks hundreds of times.
    const limit = 7 * Math.ceil(ms / 1000 + 1);
    if (ms < 1000 || error > limit)
      throw new Error(`${error} refusals in ${ms.toFixed(0)} ms, expected ${limit} at most`);
  } finally {
    clearTimeout(letIn);
    release();
    await cluster.stop();
  }
}

async function withoutPermission(stage: Stage): Promise<void> {
  const { plane } = stage;
  await allowAgent(plane, 'poor', withoutPolicies);
  const kubeconfig = await kubeconfigOf(stage, 'poor');
  const cluster = followed({ kubeconfig, silenceMs: 10_000 });
  try {
    const rule = 'apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["list", "watch"]';
    await cluster.until('the rule to be named', () => cluster.messages().some((text) => text.includes(rule)));
    await sleep(3000);
    if (cluster.isSynced()) throw new Error('synced without policies: everything would be open');
    if (cluster.messages().length !== 1) throw new Error(`expected one message, got ${cluster.messages().join(' | ')}`);
    await allowAgent(plane, 'poor');
    await cluster.until('synced', () => cluster.isSynced());
  } finally {
    await cluster.stop();
  }
}

/** Of a service account, through the gate. */
async function kubeconfigOf({ plane, gate }: Stage, account: string): Promise<string> {
  const tokenFile = join(plane.directory, nextName('token'));
  writeFileSync(tokenFile, await freshToken(plane, account));
  const file = join(plane.directory, `${account}.kubeconfig`);
  return writeKubeconfig(file, `https://127.0.0.1:${gate.port}`, plane.authority.certificate, { tokenFile });
}

async function refusedPolicy(stage: Stage): Promise<void> {
  await following(stage, {}, async (cluster) => {
    const before = new Set(cluster.state.networkPolicies.keys());
    await seenAfter(stage, cluster);
    const policy = [...cluster.state.networkPolicies.keys()].find((key) => !before.has(key));
    if (policy === undefined) throw new Error('a policy was made');
    await refuseByTwo(stage, cluster.state, policy);
  });
}

async function manyPods(stage: Stage): Promise<void> {
  const count = stage.isFull ? 50_000 : 2000;
  const prefix = nextName('many');
  const started = performance.now();
  await stage.admin.createAll(pods, count, (index) => podOf(`${prefix}-${index}`));
  stage.progress(`${count} pods made in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const cluster = followed({ kubeconfig: stage.kubeconfig, silenceMs: 10_000 });
  try {
    const ms = await cluster.until('synced', () => cluster.isSynced(), 120_000);
    const own = [...cluster.state.pods.keys()].filter((key) => key.startsWith(`demo/${prefix}-`)).length;
    if (own !== count) throw new Error(`${own} pods are known, expected ${count}`);
    const labelled = performance.now();
    await stage.admin.patch(`${pods}/${prefix}-7`, { metadata: { labels: { app: 'other' } } });
    await cluster.until('the label', () => cluster.state.pods.get(`demo/${prefix}-7`)?.labels['app'] === 'other');
    const resident = (process.memoryUsage.rss() / 1e6).toFixed(0);
    stage.progress(
      `synced after ${ms.toFixed(0)} ms, a label after ${(performance.now() - labelled).toFixed(0)} ms, ${resident} MB resident`,
    );
  } finally {
    await cluster.stop();
  }
}

/** Runs `body` with a source that is synced. */
async function following(
  stage: Stage,
  settings: Partial<FollowedSettings>,
  body: (cluster: Followed) => Promise<void>,
): Promise<void> {
  const cluster = followed({ kubeconfig: stage.kubeconfig, silenceMs: 10_000, ...settings });
  try {
    await cluster.until('synced', () => cluster.isSynced());
    await body(cluster);
  } finally {
    stage.gate.open();
    await cluster.stop();
  }
}

/** Milliseconds from the API server's answer to a new policy until the source has it. */
async function seenAfter(stage: Stage, cluster: Followed): Promise<number> {
  const name = nextName('policy');
  const spec = { podSelector: { matchLabels: { app: name } }, policyTypes: ['Ingress'] };
  await stage.admin.create(policies, { metadata: { name }, spec });
  return cluster.until(`policy ${name}`, () => cluster.state.networkPolicies.has(`demo/${name}`));
}

function expectNoLists({ counts }: Followed): void {
  if (counts.list !== 7) throw new Error(`${counts.list} lists were made, expected one of each kind`);
}

/** As an API object only: nobody runs it. */
function podOf(name: string): object {
  const labels = { app: `app-${name.length % 3}`, 'pod-template-hash': '5d4f8c7b9', team: 'demo' };
  const container = { name: 'main', image: 'example', ports: [{ name: 'http', containerPort: 8080 }] };
  return { metadata: { name, labels }, spec: { nodeName: 'n2', containers: [container] } };
}

function nextName(prefix: string): string {
  serial += 1;
  return `${prefix}-${serial}`;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}
