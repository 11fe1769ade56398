import { nodeNamesOf } from '../../explain/names.ts';
import { servicePlanOf } from '../../explain/compile-node.ts';
import type { DiagnosedPlan } from '../../explain/compile-node.ts';
import { LeftOutFinder } from '../../service/left-out.ts';
import type { LoadedCluster } from '../cluster.ts';
import { nodesOf } from '../compile-node.ts';
import { modelSource } from '../model.ts';

export interface NodeServicePlan extends DiagnosedPlan {
  readonly node: string;
  readonly leftOut: LeftOutFinder;
}

/** Of the node that is wanted, else of the agent's own, else of the first; undefined: there is no node. */
export async function loadServicePlan(
  cluster: LoadedCluster,
  wanted: string | undefined,
): Promise<NodeServicePlan | undefined> {
  const source = await modelSource(cluster);
  if (wanted !== undefined) nodesOf(cluster.state, wanted);
  const own = [...(source.facts?.keys() ?? [])][0];
  const node = wanted ?? own ?? nodeNamesOf(cluster.state)[0];
  if (node === undefined) return undefined;
  return { node, leftOut: new LeftOutFinder(cluster.state), ...servicePlanOf(source, node) };
}
