/** Takes Sluice off nodes by its own command, in a pod on each, and knows what they were before. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../build/build.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { imageName } from '../../image/build.ts';
import { readNodeState } from './node-state.ts';

export type NodeState = Awaited<ReturnType<typeof readNodeState>>;

/** To be called before Sluice comes to the cluster. */
export async function noteNodeStates(cluster: Cluster): Promise<void> {
  for (const node of cluster.nodes) {
    writeFileSync(fileOf(cluster, node.place.name), JSON.stringify(await readNodeState(node)));
  }
}

/** What `noteNodeStates` saw. */
export function stateBefore(cluster: Cluster, node: string): NodeState {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by noteNodeStates
  return JSON.parse(readFileSync(fileOf(cluster, node), 'utf8')) as NodeState;
}

/** `sluice cleanup --services` on every node; its answers are told. */
export async function cleanNodes(cluster: Cluster, tell: Progress): Promise<void> {
  const { kubectl } = cluster;
  for (const { place } of cluster.nodes) {
    const name = `sluice-cleanup-${place.name}`;
    await kubectl(['apply', '-f', '-'], JSON.stringify(cleanupPod(name, place.name)));
    await kubectl([...inSystem, 'wait', `pod/${name}`, '--for=jsonpath={.status.phase}=Succeeded', '--timeout=60s']);
    tell(`${place.name}: ${(await kubectl([...inSystem, 'logs', name])).trim()}`);
    await kubectl([...inSystem, 'delete', 'pod', name, '--wait']);
  }
}

const inSystem = ['-n', 'kube-system'] as const;

function cleanupPod(name: string, nodeName: string): object {
  const hostPaths = [
    { name: 'run', path: '/run/sluice', type: 'DirectoryOrCreate' },
    { name: 'xtables-lock', path: '/run/xtables.lock', type: 'FileOrCreate' },
  ];
  const container = {
    name: 'cleanup',
    image: imageName,
    imagePullPolicy: 'Never',
    args: ['cleanup', '--services'],
    securityContext: { capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] } },
    volumeMounts: hostPaths.map((volume) => ({ name: volume.name, mountPath: volume.path })),
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'kube-system' },
    spec: {
      nodeName,
      hostNetwork: true,
      restartPolicy: 'Never',
      containers: [container],
      volumes: hostPaths.map(({ name: volume, path, type }) => ({ name: volume, hostPath: { path, type } })),
    },
  };
}

function fileOf(cluster: Cluster, node: string): string {
  return join(cluster.controlPlane.directory, `before-${node}.json`);
}
