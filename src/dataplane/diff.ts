/** Desired against observed, as data. */
import type { IpFamily } from '../lib/ip.ts';
import type { Dataplane, DataplaneDelta, IpSetChange } from './dataplane.ts';
import { ipFamilies, tableNames } from './dataplane.ts';
import { ruleHashes } from './hash.ts';
import { diffHooks } from './hook-diff.ts';
import type { HookWrite, SetWrite } from './kernel-write.ts';
import { normaliseKubeRule } from './kube-rule-text.ts';
import type { ObservedChain, ObservedDataplane, ObservedSet, ObservedTable } from './observed.ts';
import { isSharedChain } from './ownership.ts';
import { renderChain } from './render.ts';
import { kernelMembers } from './restore-input.ts';
import type { Chain, Hook, IpSet, TableName } from './rule.ts';

export interface ChainPlace {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly name: string;
}

export interface SetDiff {
  /** New sets and changed members. */
  readonly write: readonly SetWrite[];
  /** More members than the kernel's maxelem allows. */
  readonly resize: readonly IpSet[];
  /** Another type or family: nothing can be swapped, so what refers to the set must let go of it. */
  readonly retype: readonly { readonly set: IpSet; readonly referrers: readonly ChainPlace[] }[];
  readonly destroy: readonly string[];
}

export interface TableDiff {
  readonly family: IpFamily;
  readonly table: TableName;
  readonly write: readonly Chain[];
  /** Of `write`: what is in the kernel under these names now, and may have packets. */
  readonly present: ReadonlyMap<string, ObservedChain>;
  readonly remove: readonly string[];
  readonly hooks: readonly HookWrite[];
}

export interface KernelDiff {
  readonly sets: SetDiff;
  readonly tables: readonly TableDiff[];
}

/** Everything that differs. */
export function diffDataplane(desired: Dataplane, observed: ObservedDataplane): KernelDiff {
  const changes = [...desired.ipSets.values()].map((set) => ({ kind: 'create', set }) as const);
  const destroy = [...observed.ipSets.keys()].filter((name) => !hasName(desired.ipSets, name));
  const tables = ipFamilies.flatMap((family) => tableNames.map((table) => ({ family, table })));
  return {
    sets: diffSets(changes, destroy, observed),
    tables: tables.map((place) => diffTable(desired, place, observed.tables[place.family][place.table])),
  };
}

/** Everything of one table that differs. */
export function diffTable(
  desired: Dataplane,
  { family, table }: { readonly family: IpFamily; readonly table: TableName },
  found: ObservedTable,
): TableDiff {
  const { chains, hooks } = desired.tables[family];
  const write = [...chains[table].values()].filter((chain) => !isInKernel(chain, found.chains.get(chain.name)));
  const remove = [...found.chains.keys()].filter((name) => !hasName(chains[table], name) && !isSharedChain(name));
  const present = presentOf(write, found);
  return { family, table, write, present, remove, hooks: diffHooks(tableHooks(hooks, table), found.hooks) };
}

/** What of a change is not in the kernel yet. Costs what changed, not what exists. */
export function diffDelta(delta: DataplaneDelta, observed: ObservedDataplane): KernelDiff {
  const destroy = delta.ipSets.flatMap((change) =>
    change.kind === 'remove' && observed.ipSets.has(change.name) ? [change.name] : [],
  );
  const changes = delta.ipSets.filter((change) => change.kind !== 'remove');
  const tables: TableDiff[] = [];
  for (const family of ipFamilies) {
    const hooks = delta.hooks.find((change) => change.family === family)?.hooks;
    for (const table of tableNames) {
      const found = observed.tables[family][table];
      const chains = delta.chains.filter((change) => change.family === family && change.table === table);
      const write = chains.flatMap(({ name, chain }) =>
        chain === undefined || isInKernel(chain, found.chains.get(name)) ? [] : [chain],
      );
      const remove = chains.flatMap(({ name, chain }) =>
        chain === undefined && found.chains.has(name) && !isSharedChain(name) ? [name] : [],
      );
      tables.push({
        family,
        table,
        write,
        present: presentOf(write, found),
        remove,
        hooks: hooks === undefined ? [] : diffHooks(tableHooks(hooks, table), found.hooks),
      });
    }
  }
  return { sets: diffSets(changes, destroy, observed), tables };
}

/** A set is there with another type: all that refers to it must let go first. */
export function isRetyping({ ipSets }: DataplaneDelta, observed: ObservedDataplane): boolean {
  return ipSets.some((change) => {
    if (change.kind === 'remove') return false;
    const found = observed.ipSets.get(change.set.name);
    return found !== undefined && isOfOtherType(found, change.set);
  });
}

function isOfOtherType(found: ObservedSet, set: IpSet): boolean {
  return found.type !== set.type || found.family !== set.family;
}

/** How many objects differ. */
export function sizeOfDiff({ sets, tables }: KernelDiff): number {
  const ofSets = sets.write.length + sets.resize.length + sets.retype.length + sets.destroy.length;
  return tables.reduce((sum, table) => sum + sizeOfTableDiff(table), ofSets);
}

export function sizeOfTableDiff({ write, remove, hooks }: TableDiff): number {
  return write.length + remove.length + hooks.length;
}

function presentOf(write: readonly Chain[], { chains }: ObservedTable): ReadonlyMap<string, ObservedChain> {
  const present = new Map<string, ObservedChain>();
  for (const { name } of write) {
    const found = chains.get(name);
    if (found !== undefined) present.set(name, found);
  }
  return present;
}

function isInKernel(chain: Chain, found: ObservedChain | undefined): boolean {
  if (found === undefined || found.kind === 'unknown') return false;
  if (found.kind === 'written') return found.chain === chain || sameList(renderChain(found.chain), renderChain(chain));
  return sameList(found.ids, ruleIds(chain));
}

/** What `parseSave` would read of this chain. */
export function ruleIds(chain: Chain): readonly string[] {
  if (chain.style === 'cali') return ruleHashes(chain.name, chain.rules);
  const prefix = `-A ${chain.name} `.length;
  return renderChain(chain).map((line) => normaliseKubeRule(line.slice(prefix)));
}

function diffSets(
  changes: readonly Exclude<IpSetChange, { kind: 'remove' }>[],
  destroy: readonly string[],
  observed: ObservedDataplane,
): SetDiff {
  const write: SetWrite[] = [];
  const resize: IpSet[] = [];
  const retype: { set: IpSet; referrers: readonly ChainPlace[] }[] = [];
  for (const change of changes) {
    const { set } = change;
    const found = observed.ipSets.get(set.name);
    if (found === undefined) {
      write.push({ set, create: true, add: [...kernelMembers(set)], remove: [] });
    } else if (isOfOtherType(found, set)) {
      retype.push({ set, referrers: referrersOf(set.name, observed) });
    } else if (set.members.size > found.maxElements) {
      resize.push(set);
      // What leaves need not wait until there is room.
      pushIfChanged(write, { ...memberWrite(change, found), add: [] });
    } else if (set.dynamic !== true) pushIfChanged(write, memberWrite(change, found));
  }
  return { write, resize, retype, destroy };
}

function memberWrite(change: Exclude<IpSetChange, { kind: 'remove' }>, found: ObservedSet): SetWrite {
  const { set } = change;
  const wanted = kernelMembers(set);
  // A /0 is two members in the kernel: then the change is worked out from the whole set.
  const isIncremental = change.kind === 'members' && wanted === set.members && change.removed.every(isOneMember);
  const add = isIncremental ? change.added : [...wanted];
  const remove = isIncremental ? change.removed : [...found.members];
  return {
    set,
    create: false,
    add: add.filter((member) => !found.members.has(member) && wanted.has(member)),
    remove: remove.filter((member) => found.members.has(member) && !wanted.has(member)),
  };
}

function isOneMember(member: string): boolean {
  return !member.endsWith('/0');
}

function pushIfChanged(writes: SetWrite[], write: SetWrite): void {
  if (write.add.length + write.remove.length > 0) writes.push(write);
}

/** Chains in the kernel that hold on to a set. */
function referrersOf(set: string, observed: ObservedDataplane): readonly ChainPlace[] {
  return ipFamilies.flatMap((family) =>
    tableNames.flatMap((table) =>
      [...observed.tables[family][table].chains]
        .filter(([, chain]) => refersTo(chain, set))
        .map(([name]) => ({ family, table, name })),
    ),
  );
}

/** A chain of unknown content may refer to anything. */
function refersTo(chain: ObservedChain, set: string): boolean {
  if (chain.kind === 'unknown') return true;
  if (chain.kind === 'read') return chain.sets.includes(set);
  return chain.chain.rules.some(({ matches }) => matches.some((match) => match.kind === 'ipset' && match.set === set));
}

function tableHooks(hooks: readonly Hook[], table: TableName): readonly Hook[] {
  return hooks.filter((hook) => hook.table === table);
}

/** Names from the kernel are plain text; only a name of ours can be in the map. */
function hasName(names: ReadonlyMap<string, unknown>, name: string): boolean {
  return names.has(name);
}

function sameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((value, index) => value === right[index]);
}
