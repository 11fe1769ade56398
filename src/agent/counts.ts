/** Sizes of a dataplane, for status and metrics; only counted when somebody asks. */
import type { ClusterState } from '../cluster/state.ts';
import { ipFamilies, tableNames } from '../dataplane/dataplane.ts';
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { ObservedSet } from '../dataplane/observed.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';

export interface TableCount {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly chains: number;
  readonly rules: number;
}

export interface SetCount {
  readonly family: IpFamily;
  readonly ipSets: number;
  readonly members: number;
}

export function countTables({ tables }: Dataplane): readonly TableCount[] {
  return ipFamilies.flatMap((family) =>
    tableNames.map((table) => {
      const chains = tables[family].chains[table];
      const hooks = tables[family].hooks.filter((hook) => hook.table === table);
      const rules = sum([...chains.values()].map((chain) => chain.rules.length)) + hooks.length;
      return { family, table, chains: chains.size, rules };
    }),
  );
}

export function countSets({ ipSets }: Dataplane): readonly SetCount[] {
  return ipFamilies.map((family) => {
    const sets = [...ipSets.values()].filter((set) => set.family === family);
    return { family, ipSets: sets.length, members: sum(sets.map(({ members }) => members.size)) };
  });
}

/** Of the fullest set of each family: members by the room that it was made with. */
export function fillRatios(ipSets: ReadonlyMap<string, ObservedSet>): ReadonlyMap<IpFamily, number> {
  const ratios = new Map<IpFamily, number>(ipFamilies.map((family) => [family, 0]));
  for (const { family, members, maxElements } of ipSets.values()) {
    if (maxElements > 0) ratios.set(family, Math.max(ratios.get(family) ?? 0, members.size / maxElements));
  }
  return ratios;
}

/** By kind. */
export function countObjects(state: ClusterState): Readonly<Record<string, number>> {
  return {
    Namespace: state.namespaces.size,
    Node: state.nodes.size,
    Pod: state.pods.size,
    NetworkPolicy: state.networkPolicies.size,
    Service: state.services.size,
    EndpointSlice: state.endpointSlices.size,
    ServiceCIDR: state.serviceCidrs.size,
  };
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
