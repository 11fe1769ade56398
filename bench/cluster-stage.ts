/** Where `bench -- cluster` plays: a real API server, and three nodes of network namespaces that are joined to it, a real agent on each. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEstate } from '../e2e/cluster/estate.ts';
import { type ControlPlane, startControlPlane } from '../e2e/cluster/control-plane.ts';
import { ApiClient } from '../e2e/differential/api-client.ts';
import { apiAddress, joinApiNetwork, makeApiNetwork } from '../e2e/differential/api-network.ts';
import { writeBundle } from '../scripts/bundle.ts';
import { type AgentProcess, startAgentProcess } from './agent-process.ts';
import { localPods, namespaces, nodeNameOf, podCidrOf, podOnNode, realNodes } from './cluster-objects.ts';
import { ipBatch, type Netns, withNetns } from './netns.ts';

export interface ClusterStage {
  readonly api: ApiClient;
  /** A pod on the first node, and one on the second. */
  readonly server: Netns;
  readonly client: Netns;
  readonly nodes: readonly StageNode[];
}

export interface StageNode {
  readonly number: number;
  readonly netns: Netns;
  /** The agent as the image has it, a bundle, following the API server. */
  startAgent(): Promise<AgentProcess>;
}

/** Pods of each node, beyond those that stay, that have their interface before anybody knows of them. */
export const sparePods = 10;
export const serverPod = { node: 1, index: 0 } as const;
/** Of the same namespace, and of the app that the server's policies let in on one port. */
export const clientPod = { node: 2, index: namespaces } as const;
const gateway = '169.254.1.1';

export function nodeAddress(number: number): string {
  return `10.255.77.${10 + number}`;
}

/** Takes everything away again, whatever happens. */
export async function withClusterStage<Result>(
  progress: (line: string) => void,
  body: (stage: ClusterStage) => Promise<Result>,
): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const prefix = `slbench-${process.pid}`;
  const estate = await openEstate(prefix);
  try {
    estate.record({ kind: 'folder', folder: directory });
    await writeBundle(join(directory, 'bundle'));
    const labels = ['node1', 'node2', 'node3', 'pods', 'server', 'client'] as const;
    return await withNetns(labels, async (place) => {
      // A run that is killed takes its namespaces away with the rest.
      for (const { name } of Object.values(place)) estate.record({ kind: 'netns', name });
      const apiNetns = await makeApiNetwork(estate, prefix);
      const nodes = [place.node1, place.node2, place.node3];
      for (const [index, node] of nodes.entries()) {
        await joinApiNetwork(apiNetns, node.name, 10 + index + 1);
        await wireNode(node, index + 1, place);
      }
      const plane = await startControlPlane({
        directory: join(directory, 'control-plane'),
        netns: apiNetns,
        address: apiAddress,
        estate,
        progress,
      });
      const api = new ApiClient(apiNetns, {
        url: plane.url,
        caFile: plane.authority.certificate,
        token: plane.token,
      });
      const agents: AgentProcess[] = [];
      try {
        return await body({ api, server: place.server, client: place.client, nodes: nodes.map(stageNode) });
      } finally {
        for (const agent of agents) await agent.stop();
        api.close();
      }

      function stageNode(netns: Netns, index: number): StageNode {
        return {
          number: index + 1,
          netns,
          startAgent: async () => {
            const agent = await startAgentOn(netns, index + 1, directory, plane);
            agents.push(agent);
            return agent;
          },
        };
      }
    });
  } finally {
    await estate.clear();
    await rm(directory, { recursive: true, force: true });
  }
}

function startAgentOn(netns: Netns, number: number, directory: string, plane: ControlPlane): Promise<AgentProcess> {
  return startAgentProcess({
    netns,
    nodeName: nodeNameOf(number),
    source: { kubeconfig: plane.tokenKubeconfig },
    runDir: join(directory, `run-${number}`),
    main: join(directory, 'bundle', 'sluice.mjs'),
  });
}

/** A veth for every local pod, as a CNI makes it before a pod has an address in the API; two end in namespaces of their own. */
async function wireNode(
  node: Netns,
  number: number,
  place: Readonly<Record<'pods' | 'server' | 'client', Netns>>,
): Promise<void> {
  const others = realNodes.filter((other) => other !== number);
  const ends = Array.from({ length: localPods + sparePods }, (_, index) => {
    const isServer = number === serverPod.node && index === serverPod.index;
    const isClient = number === clientPod.node && index === clientPod.index;
    const peer = isServer ? place.server : isClient ? place.client : place.pods;
    return { device: `n${number}pod${index}`, address: podOnNode(number, index).ips[0] ?? '', peer };
  });
  await ipBatch(node, [
    ...others.map((other) => `route add ${podCidrOf(other)} via ${nodeAddress(other)}`),
    ...ends.flatMap(({ device, address, peer }) => [
      `link add ${device} type veth peer name ${device} netns ${peer.name}`,
      `link set ${device} addrgenmode none`,
      `link set ${device} up`,
      `addr add ${gateway}/32 dev ${device}`,
      `route add ${address}/32 dev ${device}`,
    ]),
  ]);
  for (const netns of [place.pods, place.server, place.client]) {
    const own = ends.filter(({ peer }) => peer === netns);
    await ipBatch(
      netns,
      own.flatMap(({ device, address }) => [
        `link set ${device} addrgenmode none`,
        `link set ${device} up`,
        `addr add ${address}/32 dev ${device}`,
        ...(netns === place.pods ? [] : [`route add ${gateway} dev ${device}`, `route add default via ${gateway}`]),
      ]),
    );
  }
}
