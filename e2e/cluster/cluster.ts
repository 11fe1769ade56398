/** A real cluster of nodes in network namespaces of one machine: control plane, controllers, nodes. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv, CommandResult, RunOptions } from '../../src/backends/exec.ts';
import { run } from '../../src/backends/exec.ts';
import type { ControlPlane } from './control-plane.ts';
import { startControlPlane } from './control-plane.ts';
import { startControllers } from './controllers.ts';
import type { Estate } from './estate.ts';
import { openEstate } from './estate.ts';
import { inPlace } from './network.ts';
import type { CniKind } from './node-config.ts';
import type { ClusterNode } from './node.ts';
import { startNode } from './node.ts';
import type { Topology } from './topology.ts';
import { makeRoot, planTopology } from './topology.ts';
import { until } from './until.ts';

export interface ClusterOptions {
  /** Begins the names of its network namespaces. */
  readonly name: string;
  /** Emptied first; takes everything the cluster writes, logs in `logs`. */
  readonly directory: string;
  readonly cni: CniKind;
  readonly nodeCount: number;
  /** OCI archives that every node gets. */
  readonly images: readonly string[];
  readonly progress: (line: string) => void;
}

export interface Cluster {
  readonly controlPlane: ControlPlane;
  readonly topology: Topology;
  readonly nodes: readonly ClusterNode[];
  readonly logs: string;
  readonly kubeconfig: string;
  readonly estate: Estate;
  /** `argv`, to be run where the API server, the nodes and their pods can be reached (in none of the nodes). */
  inside(argv: Argv): Argv;
  run(argv: Argv, options?: RunOptions): Promise<CommandResult>;
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  /** Returns when every Node is ready. */
  nodesReady(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a cluster and returns when its nodes are registered and ready. What serves Services is not part of it. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { name, directory, cni, nodeCount, images, progress } = options;
  const topology = planTopology(name, nodeCount);
  const estate = await openEstate(name);
  try {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    await makeRoot(estate, topology);
    progress('cluster: etcd and the API server');
    const { rootNetns: netns, rootAddress: address, serviceCidr } = topology;
    const controlPlane = await startControlPlane({
      directory,
      netns,
      address,
      serviceCidr,
      estate,
      hasControllers: true,
    });
    await startControllers(estate, controlPlane, topology);
    progress(`cluster: ${nodeCount} nodes with ${images.length} images, CNI ${cni}`);
    await registerNodes(controlPlane, topology);
    const { logs } = controlPlane;
    const starting = topology.nodes.map(async (place) => {
      const subject = { user: `system:node:${place.name}`, groups: ['system:nodes'] };
      const kubeconfig = await controlPlane.kubeconfigFor(place.name, subject);
      return startNode({ estate, topology, place, directory, logs, cni, kubeconfig, images });
    });
    const nodes = await allOf(starting);
    const cluster = clusterOf(estate, topology, controlPlane, nodes);
    await cluster.nodesReady();
    return cluster;
  } catch (error) {
    await estate.clear();
    throw error;
  }
}

/** As Promise.all, but nothing goes on behind an error: what is still being made could not be taken away. */
async function allOf<Item>(promises: readonly Promise<Item>[]): Promise<readonly Item[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

function clusterOf(
  estate: Estate,
  topology: Topology,
  controlPlane: ControlPlane,
  nodes: readonly ClusterNode[],
): Cluster {
  const inside = (argv: Argv): Argv => inPlace(controlPlane, argv);
  return {
    controlPlane,
    topology,
    nodes,
    logs: controlPlane.logs,
    kubeconfig: controlPlane.adminKubeconfig,
    estate,
    inside,
    run: async (argv, options) => run(inside(argv), options),
    kubectl: async (args, input) => controlPlane.kubectl(args, input),
    nodesReady: async () => untilReady(controlPlane, nodes.length),
    stop: async () => estate.clear(),
  };
}

/** A kubelet that finds its Node takes it over, with the pod CIDR that it has. */
async function registerNodes(controlPlane: ControlPlane, topology: Topology): Promise<void> {
  const items = topology.nodes.map(({ name, podCidr }) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    spec: { podCIDR: podCidr, podCIDRs: [podCidr] },
  }));
  await controlPlane.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

async function untilReady(controlPlane: ControlPlane, count: number): Promise<void> {
  const condition = '{range .items[*]}{range .status.conditions[?(@.type=="Ready")]}{.status}{" "}{end}{end}';
  const isReady = async (): Promise<boolean> => {
    const answer = await controlPlane.kubectl(['get', 'nodes', `-o=jsonpath=${condition}`]);
    const ready = answer.split(' ').filter((status) => status === 'True').length;
    if (ready < count) throw new Error(`${ready} of ${count} are`);
    return true;
  };
  await until(`all nodes to be ready (logs: ${join(controlPlane.logs)})`, isReady, {
    timeoutMs: 180_000,
    everyMs: 500,
  });
}
