/** The cheap look for what has no events: are our hooks in place, do the sets have as many members as they should. */
import type { Dataplane } from '../dataplane/dataplane.ts';
import { ipFamilies, tableNames } from '../dataplane/dataplane.ts';
import { diffHooks } from '../dataplane/hook-diff.ts';
import type { ObservedHook } from '../dataplane/observed.ts';
import { kernelMemberCount } from '../dataplane/restore-input.ts';
import type { BuiltinChain, Hook, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { Backend, ReadScope } from './backend.ts';

/** What differs from `dataplane` and should be read and mended; empty: nothing was seen. `hooks: false`: rules have events. */
export async function findDrift(dataplane: Dataplane, backend: Backend, { hooks = true } = {}): Promise<ReadScope> {
  const ipSets = await hasSetDrift(dataplane, backend);
  if (!hooks) return { ipSets, tables: [] };
  const tables = await Promise.all(tableNames.map((table) => hasHookDrift(dataplane, table, backend)));
  return { ipSets, tables: tableNames.filter((_, index) => tables[index]) };
}

/** Sets that the agent fills by itself need only be there. */
async function hasSetDrift({ ipSets }: Dataplane, backend: Backend): Promise<boolean> {
  const [known] = ipSets.keys();
  if (known === undefined) return false;
  const counts = await backend.readSetCounts(known);
  for (const set of ipSets.values()) {
    const count = counts.get(set.name);
    if (count === undefined || (set.dynamic !== true && count !== kernelMemberCount(set))) return true;
  }
  return false;
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
