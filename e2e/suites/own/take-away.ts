/** Takes Sluice off a cluster by the two lines of docs/install.md, and holds the nodes against what they were before. */
import type { Cluster } from '../../cluster/cluster.ts';
import { stateBefore } from '../../sluice/node-states.ts';
import { uninstallSluice, upgradeSluice } from '../../sluice/install.ts';
import type { NodeState } from '../../sluice/node-state.ts';
import { compareStates, readNodeState } from '../../sluice/node-state.ts';

/** Lines that match `others` are somebody else's, who goes on writing them. */
export async function takeAway(cluster: Cluster, tell: (line: string) => void, others?: RegExp): Promise<void> {
  await upgradeSluice(cluster, ['cleanup.enabled=true']);
  const agents = ['-n', 'kube-system', '-l', 'app.kubernetes.io/name=sluice'];
  const answers = await cluster.kubectl(['logs', ...agents, '-c', 'cleanup', '--prefix', '--tail=3']);
  for (const line of answers.trim().split('\n')) tell(line);
  await uninstallSluice(cluster);
  const left: string[] = [];
  for (const node of cluster.nodes) {
    const [before, after] = [stateBefore(cluster, node.place.name), await readNodeState(node)];
    const differences = compareStates(without(before, others), without(after, others));
    left.push(...differences.map((line) => `${node.place.name}: ${line}`));
  }
  if (left.length > 0) throw new Error(`${left.length} differences: ${left.slice(0, 10).join('; ')}`);
}

function without(state: NodeState, others: RegExp | undefined): NodeState {
  if (others === undefined) return state;
  return Object.fromEntries(
    Object.entries(state).map(([name, lines]) => [name, lines.filter((line) => !others.test(line))]),
  );
}
