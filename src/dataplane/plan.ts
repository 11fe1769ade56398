/**
 * A diff as steps in an order that never opens and never dangles: sets -> leaf chains -> chains that refer to them -> the sets that
 * open doors -> hooks, the guard's last; removal the other way round, sets destroyed last.
 */
import { ipFamilies } from './dataplane.ts';
import type { Dataplane, DataplaneDelta } from './dataplane.ts';
import { closedChain, closedStaleChain, withoutSet } from './closed-chain.ts';
import type { ChainPlace, KernelDiff, SetDiff, TableDiff } from './diff.ts';
import { diffDataplane, diffDelta } from './diff.ts';
import type { HookWrite, KernelWrite, SetWrite, Step } from './kernel-write.ts';
import { chainName } from './names.ts';
import type { ObservedDataplane } from './observed.ts';
import { isSharedChain } from './ownership.ts';
import type { PieceLimits } from './pieces.ts';
import { ChainShapes, cutIntoPieces, leavesFirst, nftPieces } from './pieces.ts';
import { kernelMembers } from './restore-input.ts';
import type { Chain, TableName } from './rule.ts';

/** The guard (mangle) goes in after the policy chains (filter) and out before them. */
const inwards: readonly TableName[] = ['raw', 'nat', 'filter', 'mangle'];
const outwards: readonly TableName[] = inwards.toReversed();

/** For a change: costs what changed. `dataplane` is the state after the change. */
export function planSteps(
  delta: DataplaneDelta,
  dataplane: Dataplane,
  observed: ObservedDataplane,
  limits: PieceLimits = nftPieces,
): readonly Step[] {
  return stepsOf(diffDelta(delta, observed), dataplane, limits);
}

/** For a full compare: at start, after a failed write, on drift, on the slow timer. */
export function planResync(
  dataplane: Dataplane,
  observed: ObservedDataplane,
  limits: PieceLimits = nftPieces,
): readonly Step[] {
  return stepsOf(diffDataplane(dataplane, observed), dataplane, limits);
}

/** Takes everything of ours out again: what can drop first, so that allowed traffic never stops. */
export function planCleanup(observed: ObservedDataplane, limits: PieceLimits = nftPieces): readonly Step[] {
  const tables = ipFamilies.flatMap((family) =>
    inwards.map((table): TableDiff => {
      const { chains, hooks } = observed.tables[family][table];
      return {
        family,
        table,
        write: [],
        remove: [...chains.keys()].filter((name) => !isSharedChain(name)),
        hooks: [...hooks].flatMap(([chain, rules]) => {
          const deletes = rules.filter(({ target }) => !isSharedChain(target)).map(({ text }) => text);
          return deletes.length === 0 ? [] : [{ chain, deletes, inserts: [], appends: [] }];
        }),
        changesPolicies: false,
      };
    }),
  );
  return [
    ...hookSteps(tables, outwards, isRemoval),
    ...removeChainSteps(tables, limits),
    ...destroySteps([...observed.ipSets.keys()]),
  ];
}

/**
 * The steps of a diff that was worked out before. A gate exists before the chains that refer to it, lets go of members first, and lets
 * in only those for whom it closes. So does a set that is there already where policies change: what is about to go must not let a new member through.
 */
export function stepsOf({ sets, tables }: KernelDiff, dataplane: Dataplane, limits: PieceLimits): readonly Step[] {
  const reopened = retypeReferrers(sets, dataplane);
  const changesPolicies = tables.some((diff) => diff.changesPolicies);
  const isLate = ({ set, create }: SetWrite): boolean => set.gate === true || (changesPolicies && !create);
  const isEarly = ({ set }: SetWrite, member: string): boolean => set.closing?.has(member) === true;
  const earlyPart = (write: SetWrite): SetWrite => ({ ...write, add: write.add.filter((one) => isEarly(write, one)) });
  const latePart = (write: SetWrite): SetWrite => {
    const add = write.add.filter((one) => !isEarly(write, one));
    return { ...write, create: false, remove: [], add };
  };
  return [
    ...retypeSteps(sets, dataplane),
    ...setSteps(sets.write.map((write) => (isLate(write) ? earlyPart(write) : write))),
    ...resizeSteps(sets, false),
    ...chainSteps(tables, reopened, limits),
    ...setSteps(sets.write.filter(isLate).map(latePart)),
    ...resizeSteps(sets, true),
    ...hookSteps(tables, inwards, (hook) => !isRemoval(hook)),
    ...hookSteps(tables, outwards, isRemoval),
    ...removeChainSteps(tables, limits),
    ...destroySteps(sets.destroy),
  ];
}

function setSteps(writes: readonly SetWrite[]): readonly Step[] {
  const sets = writes.filter(({ create, add, remove }) => create || add.length + remove.length > 0);
  return sets.length === 0 ? [] : [{ writes: [{ kind: 'write-sets', sets }] }];
}

function resizeSteps(sets: SetDiff, gate: boolean): readonly Step[] {
  const chosen = sets.resize.filter((set) => (set.gate === true) === gate);
  return chosen.map((set) => ({ writes: [{ kind: 'resize-set', set }] }));
}

/** The referring chains close for a moment, for a set that a rule refers to can be neither destroyed nor swapped with another type. */
function retypeSteps({ retype }: SetDiff, dataplane: Dataplane): readonly Step[] {
  return retype.flatMap(({ set, referrers }) => [
    ...referrers.map(({ family, table, name }): Step => {
      const wanted = dataplane.tables[family].chains[table].get(chainName(name));
      const closed = wanted === undefined ? closedStaleChain(name) : withoutSet(wanted, set.name);
      return { writes: [{ kind: 'write-chains', family, table, chains: [closed] }] };
    }),
    { writes: [{ kind: 'destroy-sets', names: [set.name] }] },
    { writes: [{ kind: 'write-sets', sets: [{ set, create: true, add: [...kernelMembers(set)], remove: [] }] }] },
  ]);
}

/** Chains that were closed for a change of a set's type, and must be written again. */
function retypeReferrers({ retype }: SetDiff, dataplane: Dataplane): ReadonlyMap<Chain, ChainPlace> {
  const chains = new Map<Chain, ChainPlace>();
  for (const place of retype.flatMap(({ referrers }) => referrers)) {
    const chain = dataplane.tables[place.family].chains[place.table].get(chainName(place.name));
    if (chain !== undefined) chains.set(chain, place);
  }
  return chains;
}

function chainSteps(
  tables: readonly TableDiff[],
  reopened: ReadonlyMap<Chain, ChainPlace>,
  limits: PieceLimits,
): readonly Step[] {
  return inwards.flatMap((table) =>
    sideBySide(
      tables.filter((diff) => diff.table === table),
      ({ family, write }) => {
        const again = [...reopened].filter(([, place]) => place.family === family && place.table === table);
        const shapes = new ChainShapes();
        const chains = leavesFirst([...new Set([...write, ...again.map(([chain]) => chain)])], shapes);
        return inPieces(chains, limits, shapes).map((piece) => ({
          kind: 'write-chains',
          family,
          table,
          chains: piece,
        }));
      },
    ),
  );
}

/**
 * Leaves first. The chains that lead to the pods go together, however many they are: between two transactions a pod that passes
 * from one of them to another would be in none, and nobody would ask its policies.
 */
function inPieces(chains: readonly Chain[], limits: PieceLimits, shapes: ChainShapes): readonly (readonly Chain[])[] {
  const pieces = cutIntoPieces(chains, limits, shapes);
  if (pieces.length < 2) return pieces;
  const shared = new Set(dispatchers(chains, shapes));
  const others = chains.filter((chain) => !shared.has(chain));
  return [...cutIntoPieces(others, limits, shapes), ...(shared.size === 0 ? [] : [[...shared]])];
}

/** What a pod's own chain refers to is none of them. */
function dispatchers(chains: readonly Chain[], shapes: ChainShapes): readonly Chain[] {
  const isOwn = (chain: Chain): boolean => chain.style !== 'cali' || closedChain(chain) !== undefined;
  const before = new Set(chains.filter(isOwn).flatMap((chain) => shapes.of(chain).targets));
  return chains.filter((chain) => !isOwn(chain) && !before.has(chain.name));
}

function hookSteps(
  tables: readonly TableDiff[],
  order: readonly TableName[],
  isWanted: (hook: HookWrite) => boolean,
): readonly Step[] {
  return order.flatMap((table) =>
    sideBySide(
      tables.filter((diff) => diff.table === table),
      ({ family, hooks }) => {
        const wanted = hooks.filter(isWanted);
        return wanted.length === 0 ? [] : [{ kind: 'write-hooks', family, table, hooks: wanted }];
      },
    ),
  );
}

function isRemoval({ inserts, appends }: HookWrite): boolean {
  return inserts.length + appends.length === 0;
}

/** More than one piece: all are emptied before any is deleted, for they may refer to each other. */
function removeChainSteps(tables: readonly TableDiff[], limits: PieceLimits): readonly Step[] {
  return outwards.flatMap((table) =>
    sideBySide(
      tables.filter((diff) => diff.table === table),
      ({ family, remove }) => {
        const empty = remove.map((name): Chain => ({ name: chainName(name), style: 'cali', rules: [] }));
        const pieces = cutIntoPieces(empty, limits);
        const emptied = pieces.length < 2 ? [] : pieces;
        return [
          ...emptied.map((chains) => ({ kind: 'write-chains', family, table, chains }) as const),
          ...pieces.map(
            (chains) => ({ kind: 'remove-chains', family, table, names: chains.map(({ name }) => name) }) as const,
          ),
        ];
      },
    ),
  );
}

function destroySteps(names: readonly string[]): readonly Step[] {
  return names.length === 0 ? [] : [{ writes: [{ kind: 'destroy-sets', names }] }];
}

/** The first writes of every family in one step, then the second ones, and so on. */
function sideBySide(
  diffs: readonly TableDiff[],
  writesOf: (diff: TableDiff) => readonly KernelWrite[],
): readonly Step[] {
  const columns = diffs.map(writesOf);
  const length = Math.max(0, ...columns.map((column) => column.length));
  return Array.from({ length }, (_, row) => ({
    writes: columns.flatMap((column) => column.slice(row, row + 1)),
  }));
}
