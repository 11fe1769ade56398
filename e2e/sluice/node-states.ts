/** What the nodes' kernels were before Sluice came. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import type { NodeState } from './node-state.ts';
import { readNodeState } from './node-state.ts';

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

function fileOf(cluster: Cluster, node: string): string {
  return join(cluster.controlPlane.directory, `before-${node}.json`);
}
