/** What only a running agent knows. Its own encoding comes back as it went: /api/state, asked first, compares the version. */
import type { EndpointList } from '../../telemetry/status.ts';
import { askAgent } from '../agent-client.ts';
import type { LoadedCluster } from '../cluster.ts';
import type { NodeIpSet } from './ip-sets.ts';

/** Host-side interfaces by pod, as the agent found them on its node. */
export async function foundInterfaces({ socket }: LoadedCluster): Promise<ReadonlyMap<string, string>> {
  if (socket === undefined) return new Map();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  const answer = (await askAgent(socket, '/api/endpoints')) as EndpointList | undefined;
  const found = (answer?.endpoints ?? []).flatMap(({ pod, interface: name }) =>
    name === undefined ? [] : [[pod, name] as const],
  );
  return new Map(found);
}

export async function agentIpSets(socket: string): Promise<readonly NodeIpSet[]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
  const answer = (await askAgent(socket, '/api/ipsets')) as { readonly ipSets: readonly NodeIpSet[] } | undefined;
  return answer?.ipSets ?? [];
}
