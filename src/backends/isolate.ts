/** Finds the part of a write that the kernel refuses, closes it, and writes the rest: one bad object harms nobody else. */
import { closedChain } from '../dataplane/closed-chain.ts';
import type { KernelWrite, SetWrite } from '../dataplane/kernel-write.ts';
import { chainName } from '../dataplane/names.ts';
import type { Chain } from '../dataplane/rule.ts';
import { RefusedError } from './backend.ts';
import type { Refusal } from './refusals.ts';

export interface IsolationTarget {
  apply(write: KernelWrite): Promise<void>;
  /** Whether this chain is in the kernel already. */
  has(write: ChainsWrite, name: string): boolean;
  refuse(refusal: Refusal, standIn?: Chain): void;
}

type ChainsWrite = Extract<KernelWrite, { kind: 'write-chains' }>;
type RemovalWrite = Extract<KernelWrite, { kind: 'remove-chains' }>;
type SetsWrite = Extract<KernelWrite, { kind: 'write-sets' }>;

/** Beyond this many bad members a set is given up as a whole. */
const maxBadMembers = 64;

export async function applyIsolated(write: KernelWrite, target: IsolationTarget): Promise<void> {
  try {
    await target.apply(write);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    await isolate(write, error, target);
  }
}

async function isolate(write: KernelWrite, error: RefusedError, target: IsolationTarget): Promise<void> {
  switch (write.kind) {
    case 'write-chains':
      return isolateChains(write, error, target);
    case 'remove-chains':
      return isolateRemovals(write, target);
    case 'write-hooks':
      return isolateHooks(write, error, target);
    case 'write-sets':
      return isolateSets(write, error, target);
    case 'resize-set':
      return target.refuse({ kind: 'set', set: write.set, message: error.message });
    case 'destroy-sets':
    case 'trim-chains':
      throw error;
  }
}

/** Chains are ordered leaves first, so every part finds what it refers to in the parts before it. */
async function isolateChains(write: ChainsWrite, error: RefusedError, target: IsolationTarget): Promise<void> {
  const { chains } = write;
  const [only, ...others] = chains;
  if (only === undefined) throw error;
  if (others.length === 0) return closeChain(write, only, error, target);
  const named = chains.findIndex(({ name }) => name === error.culprit);
  const middle = Math.ceil(chains.length / 2);
  const [from, to] = named < 0 ? [middle, middle] : [named, named + 1];
  for (const part of [chains.slice(0, from), chains.slice(from, to), chains.slice(to)]) {
    if (part.length > 0) await applyIsolated({ ...write, chains: part }, target);
  }
}

async function closeChain(
  write: ChainsWrite,
  chain: Chain,
  error: RefusedError,
  target: IsolationTarget,
): Promise<void> {
  const { family, table } = write;
  const refusal = { kind: 'chain', family, table, chain, message: error.message } as const;
  const standIn = closedChain(chain);
  if (standIn !== undefined && (await isAccepted({ ...write, chains: [standIn] }, target))) {
    target.refuse({ ...refusal, instead: 'closed' }, standIn);
    return;
  }
  target.refuse({ ...refusal, instead: target.has(write, chain.name) ? 'kept' : 'absent' });
}

/** A chain that somebody else refers to stays, empty: it is not ours to break. All let go of each other before any is deleted. */
async function isolateRemovals(write: RemovalWrite, target: IsolationTarget): Promise<void> {
  const { family, table, names } = write;
  const chains = names.map((name): Chain => ({ name: chainName(name), style: 'cali', rules: [] }));
  await target.apply({ kind: 'write-chains', family, table, chains });
  await removeWhatGoes(write, target);
}

async function removeWhatGoes(write: RemovalWrite, target: IsolationTarget): Promise<void> {
  if ((await isAccepted(write, target)) || write.names.length < 2) return;
  const middle = Math.ceil(write.names.length / 2);
  await removeWhatGoes({ ...write, names: write.names.slice(0, middle) }, target);
  await removeWhatGoes({ ...write, names: write.names.slice(middle) }, target);
}

async function isolateHooks(
  write: Extract<KernelWrite, { kind: 'write-hooks' }>,
  error: RefusedError,
  target: IsolationTarget,
): Promise<void> {
  const [only, ...others] = write.hooks;
  if (only === undefined) throw error;
  if (others.length > 0) {
    for (const hook of write.hooks) await applyIsolated({ ...write, hooks: [hook] }, target);
    return;
  }
  const { family, table } = write;
  target.refuse({ kind: 'hook', family, table, chain: only.chain, message: error.message });
}

/** The write is given again without what the error named, until the kernel takes it. */
async function isolateSets(write: SetsWrite, first: RefusedError, target: IsolationTarget): Promise<void> {
  const badMembers = new Map<string, number>();
  let sets = write.sets;
  let error: RefusedError | undefined = first;
  while (error !== undefined) {
    const { culprit, member, message } = error;
    const bad = sets.find(({ set }) => set.name === culprit);
    if (bad === undefined) throw error;
    const count = (badMembers.get(bad.set.name) ?? 0) + 1;
    badMembers.set(bad.set.name, count);
    const isWhole = member === undefined || count > maxBadMembers;
    target.refuse(isWhole ? { kind: 'set', set: bad.set, message } : { kind: 'member', set: bad.set, member, message });
    sets = sets.flatMap((candidate) =>
      candidate !== bad ? [candidate] : isWhole ? [] : [withoutMember(candidate, member)],
    );
    error = sets.length === 0 ? undefined : await refusalFrom({ ...write, sets }, target);
  }
}

function withoutMember(write: SetWrite, bad: string): SetWrite {
  const isGood = (member: string): boolean => member !== bad;
  return { ...write, add: write.add.filter(isGood), remove: write.remove.filter(isGood) };
}

async function isAccepted(write: KernelWrite, target: IsolationTarget): Promise<boolean> {
  return (await refusalFrom(write, target)) === undefined;
}

async function refusalFrom(write: KernelWrite, target: IsolationTarget): Promise<RefusedError | undefined> {
  try {
    await target.apply(write);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
}
