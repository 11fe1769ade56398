/** From the API server to the kernels: three real agents on a real API server with thousands of pods and policies. */
import { setTimeout as sleep } from 'node:timers/promises';
import { countPolicyChains, countProgrammed } from './cluster-kernel.ts';
import type { Measured, RunningNode, RunningStage, Timing } from './cluster-measures.ts';
import { measurePods, measurePolicies } from './cluster-measures.ts';
import { loadCluster, localPods, podOnNode, realNodes } from './cluster-objects.ts';
import type { ClusterStage } from './cluster-stage.ts';
import { nodeAddress, serverPod, withClusterStage } from './cluster-stage.ts';
import { connectAll, serve } from './connections.ts';
import { firstPort } from './policy-cluster.ts';
import { cpuSecondsOf, residentMegabytes } from './process-costs.ts';
import { type BenchRow, percentileRows, row } from './row.ts';

export interface ClusterBenchOptions {
  readonly policies: number;
  /** Of all nodes, those of the three real ones included. */
  readonly pods: number;
  readonly samples: number;
}

/** The agent collects its garbage once it was calm for 5 s, and looks whether it is every 5 s. */
const untilCalmMs = 12_000;
const restMs = 30_000;
/** The answer of the API server and the line of its watch go different ways. */
const farApartMs = 20;

export async function benchCluster({ policies, pods, samples }: ClusterBenchOptions): Promise<readonly BenchRow[]> {
  const least = localPods * realNodes.length;
  if (pods < least) throw new Error(`${pods} pods: expected at least the ${least} of the nodes that are real`);
  const name = `cluster/${policies}-policies-${pods}-pods`;
  const progress = (line: string): void => console.error(`bench: ${line}`);
  return withClusterStage(progress, async (stage) => {
    progress(`putting ${pods} pods and ${policies} policies into the API server`);
    await loadCluster(stage.api, nodeAddress, { pods, policies, localPods: 0 });
    const running = await startAgents(stage);
    const { nodes } = running;
    await sleep(untilCalmMs);
    const resident = residentOf(nodes);
    const cpuBefore = cpuOf(nodes);
    await sleep(restMs);
    const restCpu = nodes.map(({ agent }, index) => cpuSecondsOf(agent.pid) - (cpuBefore[index] ?? 0));
    progress(`changing ${samples} policies and ${samples} pods`);
    const ofPolicies = await measurePolicies(running, policies, samples);
    const ofPods = await measurePods(running, samples);
    const residentAfter = residentOf(nodes);
    await mustHold(running, policies);
    return [
      ...policyRows(name, ofPolicies),
      ...podRows(name, ofPods),
      row(`${name}/first-write`, 's', Math.max(...nodes.map(({ agent }) => agent.firstWriteMs)) / 1000),
      row(`${name}/resident`, 'MB', Math.max(...resident)),
      row(`${name}/resident-after-changes`, 'MB', Math.max(...residentAfter)),
      row(`${name}/rest-cpu`, 'ms/s', Math.max(...restCpu) / (restMs / 1e6)),
    ];
  });
}

/** One after the other: on real nodes they do not compete. */
async function startAgents(stage: ClusterStage): Promise<RunningStage> {
  const nodes: RunningNode[] = [];
  for (const node of stage.nodes) nodes.push({ ...node, agent: await node.startAgent() });
  return { ...stage, nodes };
}

function policyRows(name: string, measured: Measured<'applied' | 'changed' | 'removed'>): readonly BenchRow[] {
  const { applied, changed, removed } = measured.timings;
  return [
    ...percentileRows(`${name}/policy-to-kernel`, 'ms', applied.map(slowest)),
    ...percentileRows(
      `${name}/policy-to-one-node`,
      'ms',
      applied.flatMap(({ nodeMs }) => nodeMs),
    ),
    ...percentileRows(`${name}/policy-change-to-kernel`, 'ms', changed.map(slowest)),
    ...percentileRows(`${name}/policy-removal-to-kernel`, 'ms', removed.map(slowest)),
    ...percentileRows(
      `${name}/policy-answer`,
      'ms',
      applied.map(({ answerMs }) => answerMs),
    ),
    ...meanRows(`${name}/policy`, [...applied, ...changed, ...removed], measured),
  ];
}

function podRows(name: string, measured: Measured<'addressed' | 'removed'>): readonly BenchRow[] {
  const { addressed, removed } = measured.timings;
  const own = ({ nodeMs: [first = 0] }: Timing): number => first;
  const others = ({ nodeMs: [, ...rest] }: Timing): number => Math.max(...rest);
  return [
    ...percentileRows(`${name}/pod-to-own-node`, 'ms', addressed.map(own)),
    ...percentileRows(`${name}/pod-to-other-nodes`, 'ms', addressed.map(others)),
    ...percentileRows(`${name}/pod-removal-to-kernel`, 'ms', removed.map(slowest)),
    ...percentileRows(
      `${name}/pod-answer`,
      'ms',
      addressed.map(({ answerMs }) => answerMs),
    ),
    ...meanRows(`${name}/pod`, addressed, measured),
  ];
}

function slowest({ nodeMs }: Timing): number {
  return Math.max(...nodeMs);
}

/** Of single nodes: by our clock, by the agents' own metrics (the way from the API server is in ours alone), and their CPU. */
function meanRows(name: string, timings: readonly Timing[], { byMetrics, cpuSeconds }: Measured<never>) {
  const outside = timings.flatMap(({ nodeMs }) => nodeMs);
  if (byMetrics.count !== outside.length) {
    throw new Error(`${name}: the agents' metrics count ${byMetrics.count} changes, expected ${outside.length}`);
  }
  const mean = outside.reduce((total, ms) => total + ms, 0) / outside.length;
  const meanByMetrics = byMetrics.milliseconds / byMetrics.count;
  if (Math.abs(mean - meanByMetrics) > Math.max(farApartMs, mean / 2)) {
    throw new Error(`${name}: ${meanByMetrics} ms by the agents' metrics are ${mean} ms in truth`);
  }
  return [
    row(`${name}-mean`, 'ms', mean),
    row(`${name}-mean-by-metrics`, 'ms', meanByMetrics),
    row(`${name}-cpu`, 'ms', (cpuSeconds * 1000) / outside.length),
  ];
}

function residentOf(nodes: readonly RunningNode[]): readonly number[] {
  return nodes.map(({ agent }) => residentMegabytes(agent.pid));
}

function cpuOf(nodes: readonly RunningNode[]): readonly number[] {
  return nodes.map(({ agent }) => cpuSecondsOf(agent.pid));
}

/** Every kernel has all policies and its pods, and a packet from node to node passes where it may and nowhere else. */
async function mustHold({ nodes, server, client }: RunningStage, policies: number): Promise<void> {
  for (const { number, netns } of nodes) {
    const [chains, programmed] = [await countPolicyChains(netns), await countProgrammed(netns)];
    if (chains !== policies || programmed !== localPods) {
      const found = `${chains} policy chains and ${programmed} programmed pods`;
      throw new Error(`node ${number}: ${found} in the kernel, expected ${policies} and ${localPods}`);
    }
  }
  const [allowed, denied] = [firstPort + 1, firstPort + 2];
  const [address = ''] = podOnNode(serverPod.node, serverPod.index).ips;
  const endServer = await serve(server, [allowed, denied]);
  try {
    const targets = [allowed, denied].map((port) => ({ address, port }));
    const [first, second] = await connectAll(client, targets);
    if (first?.ms === undefined) throw new Error(`the packet to port ${allowed}, which a policy allows, did not pass`);
    if (second?.ms !== undefined) throw new Error(`the packet to port ${denied}, which no policy allows, passed`);
  } finally {
    await endServer();
  }
}
