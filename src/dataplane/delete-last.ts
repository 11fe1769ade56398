/**
 * Old rules go last. Before nf_tables takes a rule with a match or target of xtables (nearly every rule has one) it waits until all rules
 * that were deleted before are freed, a grace period of RCU: 5 to 20 ms. A change of several transactions, as any that concerns both
 * families, would wait before each but the first. So all but the last of them put the new rules of a chain above the old ones, which
 * nothing reaches any more, and the old ones are deleted when everything is written.
 */
import type { KernelWrite, Step } from './kernel-write.ts';
import type { ObservedDataplane } from './observed.ts';

type ChainsWrite = Extract<KernelWrite, { kind: 'write-chains' }>;

/** Where there are more, what is won by not waiting is little beside what is written. */
const maxWrites = 16;
/** Of one write. Deleting costs a line for each rule: beyond so many it takes longer than the wait. */
const maxCoveredRules = 100;

/** The same steps, and those that clean up after them. `observed`: before the first of them. */
export function deletingLast(
  steps: readonly Step[],
  observed: ObservedDataplane,
): { readonly steps: readonly Step[]; readonly trims: readonly Step[] } {
  const writes = steps.flatMap((step) => step.writes.filter((write) => write.kind === 'write-chains'));
  const last = writes.at(-1);
  if (writes.length < 2 || writes.length > maxWrites) return { steps, trims: [] };
  const trims: KernelWrite[] = [];
  const times = timesWritten(writes);
  const cover = (write: KernelWrite): KernelWrite => {
    if (write.kind !== 'write-chains' || write === last) return write;
    const old = rulesBelow(write, observed, times);
    if (old.size === 0) return write;
    trims.push(trimOf(write, old));
    return { ...write, covered: new Set(old.keys()) };
  };
  const covering = steps.map((step) => ({ writes: step.writes.map(cover) }));
  return { steps: covering, trims: trims.map((write) => ({ writes: [write] })) };
}

function timesWritten(writes: readonly ChainsWrite[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const { family, table, chains } of writes) {
    for (const { name } of chains) {
      const key = `${family} ${table} ${name}`;
      times.set(key, (times.get(key) ?? 0) + 1);
    }
  }
  return times;
}

/**
 * How many rules the chains have that are in the kernel as we wrote them; an empty chain has none to delete. One that is written twice
 * is replaced each time: what lies below would be more than what is observed.
 */
function rulesBelow(
  { family, table, chains }: ChainsWrite,
  observed: ObservedDataplane,
  times: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const below = new Map<string, number>();
  let sum = 0;
  for (const { name } of chains) {
    const found = observed.tables[family][table].chains.get(name);
    const isOnce = times.get(`${family} ${table} ${name}`) === 1;
    const count = isOnce && found?.kind === 'written' ? found.chain.rules.length : 0;
    sum += count;
    if (count > 0) below.set(name, count);
  }
  return sum > maxCoveredRules ? new Map() : below;
}

function trimOf({ family, table, chains }: ChainsWrite, below: ReadonlyMap<string, number>): KernelWrite {
  const trimmed = chains.flatMap(({ name, rules }) => {
    const old = below.get(name);
    // One more: what returns, above the old ones.
    return old === undefined ? [] : [{ name, stay: rules.length, go: old + 1 }];
  });
  return { kind: 'trim-chains', family, table, chains: trimmed };
}
