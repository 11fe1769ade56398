/** The cheap look for what has no events: are our hooks in place, do the sets have as many members as they should. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import { ipFamilies, tableNames } from '../dataplane/dataplane.ts';
import { diffHooks } from '../dataplane/hook-diff.ts';
import type { ObservedHook } from '../dataplane/observed.ts';
import { kernelMembers } from '../dataplane/restore-input.ts';
import type { BuiltinChain, Hook, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { Backend, ReadScope } from './backend.ts';

/** What differs from `dataplane` and should be read and mended; empty: nothing was seen. `hooks: false`: rules have events. */
export async function findDrift(dataplane: Dataplane, backend: Backend, { hooks = true } = {}): Promise<ReadScope> {
  const counts = await backend.readSetCounts();
  if (!hooks) return { ipSets: hasSetDrift(dataplane, counts), tables: [] };
  const tables = await Promise.all(tableNames.map((table) => hasHookDrift(dataplane, table, backend)));
  return { ipSets: hasSetDrift(dataplane, counts), tables: tableNames.filter((_, index) => tables[index]) };
}

/** Sets that the agent fills by itself need only be there. */
function hasSetDrift({ ipSets }: Dataplane, counts: ReadonlyMap<string, number>): boolean {
  return [...ipSets.values()].some((set) => {
    const count = counts.get(set.name);
    return count === undefined || (set.dynamic !== true && count !== kernelMembers(set).size);
  });
}

async function hasHookDrift(dataplane: Dataplane, table: TableName, backend: Backend): Promise<boolean> {
  const found = await Promise.all(ipFamilies.map((family) => isFamilyDrifted(dataplane, { family, table }, backend)));
  return found.includes(true);
}

async function isFamilyDrifted(
  dataplane: Dataplane,
  place: { readonly family: IpFamily; readonly table: TableName },
  backend: Backend,
): Promise<boolean> {
  const hooks = dataplane.tables[place.family].hooks.filter(({ table }) => table === place.table);
  const chains = [...new Set(hooks.map(({ chain }) => chain))];
  const read = chains.map(async (chain) => [chain, await backend.readHooks({ ...place, chain })] as const);
  return isOutOfPlace(hooks, new Map(await Promise.all(read)));
}

function isOutOfPlace(hooks: readonly Hook[], found: ReadonlyMap<BuiltinChain, readonly ObservedHook[]>): boolean {
  return diffHooks(hooks, found).length > 0;
}
