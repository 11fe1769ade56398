/**
 * A diff as steps in an order that never opens and never dangles: sets -> leaf chains -> chains that refer to them -> the sets that
 * open doors -> hooks, the guard's last; removal the other way round, sets destroyed last.
 */
import { ipFamilies } from './dataplane.ts';
import type { Dataplane, DataplaneDelta } from './dataplane.ts';
import { closedStaleChain, narrowedCheck, withoutSet } from './closed-chain.ts';
import { coveringAllButLast, coveringSteps, trimSteps } from './delete-last.ts';
import type { ChainPlace, KernelDiff, SetDiff, TableDiff } from './diff.ts';
import { diffDataplane, diffDelta } from './diff.ts';
import type { HookWrite, KernelWrite, SetWrite, Step } from './kernel-write.ts';
import type { LeftBehind, TableLeftovers } from './leftovers.ts';
import { coveredIn, trimmingWrite } from './leftovers.ts';
import { chainName } from './names.ts';
import type { ObservedDataplane } from './observed.ts';
import { isSharedChain } from './ownership.ts';
import type { PieceLimits } from './pieces.ts';
import { ChainShapes, cutIntoPieces, leavesFirst, nftPieces } from './pieces.ts';
import { kernelMembers } from './restore-input.ts';
import type { Chain, IpSet, TableName } from './rule.ts';

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
  return stepsOf(diffDelta(delta, observed), dataplane, limits, observed);
}

/** The same without what nothing reaches any more: that is left behind, for `planTidy`. */
export function planUrgentSteps(
  delta: DataplaneDelta,
  dataplane: Dataplane,
  observed: ObservedDataplane,
  limits: PieceLimits = nftPieces,
): { readonly steps: readonly Step[]; readonly left: LeftBehind } {
  const diff = diffDelta(delta, observed);
  const isCovering = limits.deletesLast === true && diff.sets.retype.length === 0;
  const steps = urgentSteps(diff, dataplane, limits, (written) =>
    isCovering ? coveringSteps(written, observed) : written,
  );
  const removed = diff.tables.flatMap(({ family, table, remove }) => remove.map((name) => ({ family, table, name })));
  return { steps, left: { chains: [...coveredIn(steps), ...removed], sets: diff.sets.destroy } };
}

/** Takes away what was left behind in tables. `isSure`: nobody has touched the rules since. */
export function planTidy(
  tables: readonly TableLeftovers[],
  isSure: boolean,
  limits: PieceLimits = nftPieces,
): readonly Step[] {
  const trims = tables.flatMap((table) => trimmingWrite(table, isSure) ?? []);
  const removals = tables.map(
    ({ family, table, remove }): TableDiff => ({ family, table, write: [], present: new Map(), remove, hooks: [] }),
  );
  return [...trims.map((write) => ({ writes: [write] })), ...removeChainSteps(removals, limits)];
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
        present: new Map(),
        remove: [...chains.keys()].filter((name) => !isSharedChain(name)),
        hooks: [...hooks].flatMap(([chain, rules]) => {
          const deletes = rules.filter(({ target }) => !isSharedChain(target)).map(({ text }) => text);
          return deletes.length === 0 ? [] : [{ chain, deletes, inserts: [], appends: [] }];
        }),
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
 * The steps of a diff that was worked out before. A gate exists before the chains that refer to it, lets go of members first, unless it
 * closes, and lets in only those for whom it closes. So does a set that is there already where rules in force change: what is about to go must not let
 * a new member through. `observed`, where it is sure what the chains hold, lets old rules go last.
 */
export function stepsOf(
  diff: KernelDiff,
  dataplane: Dataplane,
  limits: PieceLimits,
  observed?: ObservedDataplane,
): readonly Step[] {
  const isCovering = limits.deletesLast === true && observed !== undefined && diff.sets.retype.length === 0;
  const steps = urgentSteps(diff, dataplane, limits, (written) =>
    isCovering ? coveringAllButLast(written, observed) : written,
  );
  return [...steps, ...trimSteps(steps), ...removeChainSteps(diff.tables, limits), ...destroySteps(diff.sets.destroy)];
}

/** What packets meet. `covering`: how chains are written, given how they would be. */
function urgentSteps(
  { sets, tables }: KernelDiff,
  dataplane: Dataplane,
  limits: PieceLimits,
  covering: (written: readonly Step[]) => readonly Step[],
): readonly Step[] {
  const reopened = retypeReferrers(sets, dataplane);
  const isChange = tables.some(changesRules);
  const { early, late } = inTwo(sets, isChange);
  const isLate = (set: IpSet): boolean => set.gate === true || isChange;
  return [
    ...retypeSteps(sets, dataplane),
    ...setSteps(early),
    ...resizeSteps(sets, (set) => !isLate(set)),
    ...covering(chainSteps(tables, reopened, limits)),
    ...setSteps(late),
    ...resizeSteps(sets, isLate),
    ...hookSteps(tables, inwards, (hook) => !isRemoval(hook)),
    ...hookSteps(tables, outwards, isRemoval),
  ];
}

/** Policy's chains that packets may be in change or go. */
function changesRules({ write, present, remove }: TableDiff): boolean {
  return write.some((chain) => isInForce(chain, present)) || remove.some((name) => name.startsWith('cali-'));
}

function isInForce({ name, style }: Chain, present: TableDiff['present']): boolean {
  return style === 'cali' && present.has(name);
}

/** What of the sets changes before the chains, and what after them. Of a set that closes nothing leaves before what closes instead is in. */
function inTwo({ write }: SetDiff, changesChains: boolean): { readonly early: SetWrite[]; readonly late: SetWrite[] } {
  const early: SetWrite[] = [];
  const late: SetWrite[] = [];
  for (const { set, create, add, remove } of write) {
    const waits = set.gate === true || (changesChains && !create);
    const isEarly = (member: string): boolean => !waits || set.closing?.has(member) === true;
    const [first, last] = set.closing === undefined ? [remove, []] : [[], remove];
    early.push({ set, create, add: add.filter(isEarly), remove: first });
    late.push({ set, create: false, add: add.filter((member) => !isEarly(member)), remove: last });
  }
  return { early, late };
}

function setSteps(writes: readonly SetWrite[]): readonly Step[] {
  const sets = writes.filter(({ create, add, remove }) => create || add.length + remove.length > 0);
  return sets.length === 0 ? [] : [{ writes: [{ kind: 'write-sets', sets }] }];
}

function resizeSteps({ resize }: SetDiff, isChosen: (set: IpSet) => boolean): readonly Step[] {
  return resize.filter(isChosen).map((set) => ({ writes: [{ kind: 'resize-set', set }] }));
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
  const narrow = narrowChecks(tables);
  const ordered = inwards.flatMap((table) =>
    sideBySide(
      tables.filter((diff) => diff.table === table),
      ({ family, write, present }) => {
        const again = [...reopened].filter(([, place]) => place.family === family && place.table === table);
        const shapes = new ChainShapes();
        const chains = leavesFirst([...new Set([...write, ...again.map(([chain]) => chain)])], shapes);
        const isAtOnce = (chain: Chain): boolean => isInForce(chain, present) || reopened.has(chain);
        return inPieces(chains, isAtOnce, limits, shapes).map((piece) => ({
          kind: 'write-chains',
          family,
          table,
          chains: piece.map((chain) => narrow.get(chain) ?? chain),
        }));
      },
    ),
  );
  const widened = sideBySide(tables, ({ family, table, write }) => {
    const chains = write.filter((chain) => narrow.has(chain));
    return chains.length === 0 ? [] : [{ kind: 'write-chains', family, table, chains }];
  });
  return [...ordered, ...widened];
}

/**
 * New chains in bounded pieces, leaves first: nobody refers to them yet. What is in force changes in one transaction, however much it
 * is: between two a packet would be judged by one half of the state before and one of the state after, and pass although each denies
 * it: by the sender's new policy and the receiver's old one, or by the chain of a pod that is on its way to another interface.
 */
function inPieces(
  chains: readonly Chain[],
  isAtOnce: (chain: Chain) => boolean,
  limits: PieceLimits,
  shapes: ChainShapes,
): readonly (readonly Chain[])[] {
  const pieces = cutIntoPieces(chains, limits, shapes);
  if (pieces.length < 2) return pieces;
  const atOnce = chains.filter(isAtOnce);
  const others = cutIntoPieces(
    chains.filter((chain) => !isAtOnce(chain)),
    limits,
    shapes,
  );
  return atOnce.length === 0 ? others : [...others, atOnce];
}

/**
 * raw is written before filter. An interface that passes from one pod to another would send with its new pod's address under the old
 * one's policies, or, the other way round, with the old address under the new ones: until the pod's chains are in, its check lets
 * through only what it did before and does after.
 */
function narrowChecks(tables: readonly TableDiff[]): ReadonlyMap<Chain, Chain> {
  const narrow = new Map<Chain, Chain>();
  for (const raw of tables.filter(({ table }) => table === 'raw')) {
    const filter = tables.find(({ family, table }) => family === raw.family && table === 'filter');
    for (const chain of raw.write) {
      const found = raw.present.get(chain.name);
      if (found === undefined || filter?.present.has(chain.name.replace('cali-src-', 'cali-fw-')) !== true) continue;
      const narrowed = narrowedCheck(chain, found);
      if (narrowed !== undefined) narrow.set(chain, narrowed);
    }
  }
  return narrow;
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
