/** The cluster that the suites run on: two nodes, DNS, and what serves it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, buildAll } from './build/build.ts';
import { startDns } from './cluster/add-ons.ts';
import type { Cluster } from './cluster/cluster.ts';
import { startCluster } from './cluster/cluster.ts';
import { startKubeProxy } from './cluster/kube-proxy.ts';
import type { CniKind } from './cluster/node-config.ts';
import { nodePrograms } from './cluster/node.ts';
import { buildArchives } from './images/archives.ts';
import type { Proxy } from './suites/suite.ts';
import { noteNodeStates } from './sluice/node-states.ts';
import { installSluice, prepareSluice } from './sluice/install.ts';

/** Begins the names of network namespaces and cgroups. */
export const clusterName = 'slc-e2e';

export type Progress = (line: string) => void;

/** Builds what is missing of everything that `upCluster` needs; minutes when the cache is cold. */
export async function prepare(
  { proxies, isFull }: { readonly proxies: readonly Proxy[]; readonly isFull: boolean },
  progress: Progress,
): Promise<readonly string[]> {
  await buildAll(['etcd', 'kube-apiserver', 'kubectl', 'kube-controller-manager', 'kube-scheduler'], progress);
  await buildAll(nodePrograms, progress);
  const archives = await buildArchives(isFull, progress);
  if (proxies.includes('kube-proxy')) await buildAll(['kube-proxy'], progress);
  return proxies.includes('none') ? archives : [...archives, await prepareSluice(progress)];
}

/** Starts the cluster in `directory`; when it returns, pods have network, Services and names (none without a proxy). */
export async function upCluster(
  choice: { readonly cni: CniKind; readonly proxy: Proxy; readonly directory: string },
  images: readonly string[],
  progress: Progress,
): Promise<Cluster> {
  const { cni, proxy, directory } = choice;
  const cluster = await startCluster({ name: clusterName, directory, cni, nodeCount: 2, images, progress });
  if (proxy === 'none') return cluster;
  try {
    progress(`cluster: ${proxy}`);
    await noteNodeStates(cluster);
    if (proxy === 'sluice') await installSluice(cluster);
    else await startKubeProxy(cluster);
    progress('cluster: DNS');
    await startDns(cluster);
    return cluster;
  } catch (error) {
    await noteState(cluster);
    await cluster.stop();
    throw error;
  }
}

/** Writes what the API server knows beside the logs. */
export async function noteState(cluster: Cluster): Promise<void> {
  const questions = {
    pods: ['get', 'pods', '-A', '-o', 'wide'],
    events: ['get', 'events', '-A', '--sort-by=.lastTimestamp'],
  };
  for (const [name, question] of Object.entries(questions)) {
    try {
      writeFileSync(join(cluster.logs, `${name}.txt`), await cluster.kubectl(question));
    } catch (error) {
      writeFileSync(join(cluster.logs, `${name}.txt`), String(error));
    }
  }
}

/** How to use the cluster by hand. */
export function handUse(cluster: Cluster): string {
  const { topology, kubeconfig, nodes } = cluster;
  const entered = nodes.map((node) => `  ${node.place.name}: ${node.inside(['bash']).join(' ')}`);
  return [
    `kubectl: nsenter --net=/run/netns/${topology.rootNetns} ${binary('kubectl')} --kubeconfig=${kubeconfig} get pods -A`,
    'a shell on a node:',
    ...entered,
    'take it away: node e2e/run.ts down',
  ].join('\n');
}
