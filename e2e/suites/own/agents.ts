/** Sluice's agents on the cluster's nodes. */
import type { Cluster } from '../../cluster/cluster.ts';
import type { ClusterNode } from '../../cluster/node.ts';
import { until } from '../../cluster/until.ts';
import { agentsReady, helm, upgradeSluice } from '../../sluice/install.ts';

const selector = ['-n', 'kube-system', '-l', 'app.kubernetes.io/name=sluice'] as const;

/** Replaces every agent's pod, as a new version does; returns when all are ready. */
export async function rollAgents({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl(['-n', 'kube-system', 'rollout', 'restart', 'daemonset/sluice']);
  await agentsReady({ kubectl });
}

/** Another setting by `helm upgrade`, and the one before by `helm rollback`: every agent is replaced twice. */
export async function upgradeAndRollBack(cluster: Cluster): Promise<void> {
  const before = await containers(cluster);
  await upgradeSluice(cluster, ['config.logLevel=info']);
  const upgraded = await containers(cluster);
  await helm(cluster, ['rollback', 'sluice', '--wait', '--timeout=180s']);
  await agentsReady(cluster);
  const back = await containers(cluster);
  for (const { place } of cluster.nodes) {
    const agents = [before, upgraded, back].map((of) => of.get(place.name));
    if (agents.includes(undefined) || new Set(agents).size !== 3)
      throw new Error(`${place.name}: agents ${agents.join(', ')}`);
  }
}

/** SIGKILL for every agent at once; returns when kubelet has started each again and it is ready. */
export async function killAgents(cluster: Cluster): Promise<void> {
  await withNewAgents(cluster, cluster.nodes, async (before) => {
    for (const node of cluster.nodes) await killAgent(node, before);
  });
}

/** Runs `body`, told the agents' containers by node, and returns when other containers run the agents of `nodes`, and are ready. */
export async function withNewAgents(
  cluster: Cluster,
  nodes: readonly ClusterNode[],
  body: (before: ReadonlyMap<string, string>) => Promise<void>,
): Promise<void> {
  const before = await containers(cluster);
  if (before.size !== cluster.nodes.length) throw new Error(`${before.size} agents on ${cluster.nodes.length} nodes`);
  await body(before);
  const areNew = async (): Promise<boolean> => {
    const now = await containers(cluster);
    return nodes.every(({ place: { name } }) => now.has(name) && now.get(name) !== before.get(name));
  };
  await until('agents to be started again', areNew, { timeoutMs: 120_000, everyMs: 500 });
  await agentsReady(cluster);
}

async function killAgent(node: ClusterNode, containersOf: ReadonlyMap<string, string>): Promise<void> {
  const container = containersOf.get(node.place.name);
  if (container === undefined) throw new Error(`no agent on ${node.place.name}`);
  process.kill(await node.processOf(container), 'SIGKILL');
}

/** Node -> id of the agent's ready container. */
async function containers({ kubectl }: Cluster): Promise<ReadonlyMap<string, string>> {
  const path =
    '{range .items[*]}{.spec.nodeName} {.status.containerStatuses[?(@.ready==true)].containerID}{"\\n"}{end}';
  const answer = await kubectl(['get', 'pods', ...selector, `-o=jsonpath=${path}`]);
  const entries = answer.split('\n').flatMap((line) => {
    const [node, container] = line.split(' ');
    return node === undefined || container === undefined || container === '' ? [] : [[node, container] as const];
  });
  return new Map(entries.map(([node, container]) => [node, container.replace('containerd://', '')]));
}
