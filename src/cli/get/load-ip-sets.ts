import { loadConfig } from '../../config/load.ts';
import type { LoadedCluster } from '../cluster.ts';
import { compileNode, nodesOf } from '../compile-node.ts';
import { agentIpSets } from './from-agent.ts';
import type { NodeIpSet } from './ip-sets.ts';

/** The sets of an agent's own node, or those that manifests make on each node. */
export async function loadIpSets(cluster: LoadedCluster, node: string | undefined): Promise<readonly NodeIpSet[]> {
  if (cluster.socket !== undefined) {
    const sets = await agentIpSets(cluster.socket);
    return sets.filter((set) => node === undefined || set.node === node);
  }
  const config = loadConfig({ flags: { ipFamilies: 'ipv4,ipv6' }, environment: {} });
  return nodesOf(cluster.state, node).flatMap((name) => {
    const { dataplane } = compileNode(cluster.state, name, config);
    return [...dataplane.ipSets.values()].map(({ closing: _ofTheWriter, ...set }) => ({
      ...set,
      node: name,
      members: [...set.members].sort(),
    }));
  });
}
