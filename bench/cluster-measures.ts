/** Changes through the API server, each timed until the last restore of every node, and looked up in the kernels after that. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkPolicy, Pod } from '../src/cluster/objects.ts';
import type { AgentProcess } from './agent-process.ts';
import { portsOfPolicy, programmedSet, setsWith } from './cluster-kernel.ts';
import type { Netns } from './netns.ts';
import {
  addressReport,
  application,
  type Change,
  creation,
  inParallel,
  namespaces,
  podOnNode,
  localPods,
  realNodes,
  removal,
} from './cluster-objects.ts';
import { type ClusterStage, type StageNode, sparePods } from './cluster-stage.ts';
import { type LatencySum, settledLatency } from './agent-metrics.ts';
import { firstPort, policyAt } from './policy-cluster.ts';
import { cpuSecondsOf } from './process-costs.ts';

export interface RunningNode extends StageNode {
  readonly agent: AgentProcess;
}

export type RunningStage = Omit<ClusterStage, 'nodes'> & { readonly nodes: readonly RunningNode[] };

/** One change. */
export interface Timing {
  /** From the request to the API server's answer. */
  readonly answerMs: number;
  /** From that answer to the last restore, node by node. What comes before the answer is below zero: watches may be faster. */
  readonly nodeMs: readonly number[];
}

export interface Measured<Series extends string> {
  readonly timings: Readonly<Record<Series, readonly Timing[]>>;
  /** What all agents together say in /metrics about the same changes. */
  readonly byMetrics: LatencySum;
  /** Of all agents with their programs, from the first change to the last. */
  readonly cpuSeconds: number;
}

/** Between two changes, so that one does not wait for what the kernels still do after the other. */
const pauseMs = 100;

/** New policies, each applied, applied with other ports, and deleted. */
export async function measurePolicies(
  stage: RunningStage,
  policies: number,
  samples: number,
): Promise<Measured<'applied' | 'changed' | 'removed'>> {
  const timings = { applied: [] as Timing[], changed: [] as Timing[], removed: [] as Timing[] };
  const before = await settledLatency(stage.nodes, 'NetworkPolicy');
  const cpuBefore = cpuSecondsOfAll(stage);
  for (let index = 0; index < samples; index++) {
    const [first, second] = [1, 2].map((round) => policyAt(policies + index, namespaces, round));
    if (first === undefined || second === undefined) throw new Error('two rounds are two policies');
    timings.applied.push(await timed(stage, application(first)));
    await mustHoldPolicy(stage, first, 1);
    timings.changed.push(await timed(stage, application(second)));
    await mustHoldPolicy(stage, second, 2);
    timings.removed.push(await timed(stage, removal(first)));
    await mustHoldPolicy(stage, first, undefined);
  }
  const cpuSeconds = cpuSecondsOfAll(stage) - cpuBefore;
  const after = await settledLatency(stage.nodes, 'NetworkPolicy');
  return { timings, byMetrics: difference(after, before), cpuSeconds };
}

/** Pods that are given their address, node by node in turn, and deleted. A timing's nodes begin with the pod's own. */
export async function measurePods(stage: RunningStage, samples: number): Promise<Measured<'addressed' | 'removed'>> {
  const timings = { addressed: [] as Timing[], removed: [] as Timing[] };
  let byMetrics: LatencySum = { count: 0, milliseconds: 0 };
  let cpuSeconds = 0;
  const perRound = sparePods * realNodes.length;
  for (let done = 0; done < samples; done += perRound) {
    const pods = Array.from({ length: Math.min(perRound, samples - done) }, (_, index) => sparePod(index));
    await inParallel(pods, async (pod) => void (await stage.api.timed(creation(pod))));
    const before = await settledLatency(stage.nodes, 'Pod');
    const cpuBefore = cpuSecondsOfAll(stage);
    for (const [index, pod] of pods.entries()) {
      timings.addressed.push(ownFirst(await timed(stage, addressReport(pod)), index));
      await mustHoldPod(stage, pod, true);
    }
    cpuSeconds += cpuSecondsOfAll(stage) - cpuBefore;
    const after = await settledLatency(stage.nodes, 'Pod');
    byMetrics = sum(byMetrics, difference(after, before));
    for (const [index, pod] of pods.entries()) {
      timings.removed.push(ownFirst(await timed(stage, removal(pod)), index));
      await mustHoldPod(stage, pod, false);
    }
  }
  return { timings, byMetrics, cpuSeconds };
}

function cpuSecondsOfAll({ nodes }: RunningStage): number {
  return nodes.reduce((total, { agent }) => total + cpuSecondsOf(agent.pid), 0);
}

function sparePod(index: number): Pod {
  const number = 1 + (index % realNodes.length);
  return podOnNode(number, localPods + Math.floor(index / realNodes.length));
}

function ownFirst({ answerMs, nodeMs }: Timing, index: number): Timing {
  const own = index % realNodes.length;
  return { answerMs, nodeMs: [...nodeMs.slice(own), ...nodeMs.slice(0, own)] };
}

async function timed({ api, nodes }: RunningStage, change: Change): Promise<Timing> {
  const allApplied = Promise.all(nodes.map(({ agent }) => agent.nextApplied()));
  const [appliedAt, { askedAt, answeredAt }] = await Promise.all([allApplied, api.timed(change)]);
  await sleep(pauseMs);
  return { answerMs: answeredAt - askedAt, nodeMs: appliedAt.map((at) => at - answeredAt) };
}

/** With the ports of that round in its chain; undefined: gone. */
async function mustHoldPolicy({ nodes }: RunningStage, policy: NetworkPolicy, round: number | undefined) {
  const steps = [1, 2, 3, 4, 5];
  const expected = round === undefined ? undefined : steps.map((step) => firstPort + 10 * round + step).join();
  for (const { number, netns } of nodes) {
    const found = expected === undefined ? await portsWhenCalm(netns, policy) : await portsOfPolicy(netns, policy);
    if (found !== expected) {
      const { namespace, name } = policy;
      throw new Error(`node ${number}: policy ${namespace}/${name} has ports ${found}, expected ${expected}`);
    }
  }
}

/** A chain that nobody refers to any more goes when it is calm (docs/adr/0015). */
async function portsWhenCalm(netns: Netns, policy: NetworkPolicy): Promise<string | undefined> {
  for (let tries = 0; tries < 50; tries += 1) {
    if ((await portsOfPolicy(netns, policy)) === undefined) return undefined;
    await sleep(100);
  }
  return portsOfPolicy(netns, policy);
}

/** Programmed on its own node, and in a selector's set of every node. */
async function mustHoldPod({ nodes }: RunningStage, pod: Pod, isThere: boolean): Promise<void> {
  const [address = ''] = pod.ips;
  for (const { number, netns } of nodes) {
    const sets = await setsWith(netns, address);
    const isOwn = pod.name.startsWith(`on-${number}-`);
    const isInSelectors = sets.some((set) => set.startsWith('cali40s:'));
    const isRight = isThere ? isInSelectors && sets.includes(programmedSet) === isOwn : sets.length === 0;
    if (!isRight) throw new Error(`node ${number}: ${address} of ${pod.name} is in the sets ${sets.join(' ')}`);
  }
}

function sum(left: LatencySum, right: LatencySum): LatencySum {
  return { count: left.count + right.count, milliseconds: left.milliseconds + right.milliseconds };
}

function difference(left: LatencySum, right: LatencySum): LatencySum {
  return { count: left.count - right.count, milliseconds: left.milliseconds - right.milliseconds };
}
