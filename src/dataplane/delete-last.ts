/**
 * Old rules go last. Before nf_tables takes a rule with a match or target of xtables (nearly every rule has one) it waits until all rules
 * that were deleted before are freed, a grace period of RCU: 5 to 80 ms. So the new rules of a chain are put above the old ones, which
 * nothing reaches any more, and the old ones are deleted when everything is written, or later still (leftovers.ts).
 */
import type { KernelWrite, Step } from './kernel-write.ts';
import type { ObservedDataplane } from './observed.ts';

type ChainsWrite = Extract<KernelWrite, { kind: 'write-chains' }>;

/** Where there are more, what is won by not waiting is little beside what is written. */
const maxWrites = 16;
/** Of one write. Deleting costs a line for each rule: beyond so many it takes longer than the wait. */
const maxCoveredRules = 100;
/** Of one chain that changes again and again. */
const maxBelow = 300;

/** The last write deletes what it replaces itself: nothing comes after it that would wait. So a change of a single write stays as it is. */
export function coveringAllButLast(steps: readonly Step[], observed: ObservedDataplane): readonly Step[] {
  return coveringSteps(steps, observed, chainsWrites(steps).at(-1));
}

/** The same steps; old rules stay below the new ones, of each write but `except`. `observed`: before the first of them. */
export function coveringSteps(
  steps: readonly Step[],
  observed: ObservedDataplane,
  except?: KernelWrite,
): readonly Step[] {
  const writes = chainsWrites(steps);
  if (writes.length > maxWrites) return steps;
  const times = timesWritten(writes);
  const cover = (write: KernelWrite): KernelWrite => {
    if (write.kind !== 'write-chains' || write === except) return write;
    const covered = rulesBelow(write, observed, times);
    return covered.size === 0 ? write : { ...write, covered };
  };
  return steps.map((step) => ({ writes: step.writes.map(cover) }));
}

/** What deletes the old rules after these steps. */
export function trimSteps(steps: readonly Step[]): readonly Step[] {
  return chainsWrites(steps).flatMap((write) => {
    const trim = trimOf(write);
    return trim === undefined ? [] : [{ writes: [trim] }];
  });
}

function chainsWrites(steps: readonly Step[]): readonly ChainsWrite[] {
  return steps.flatMap((step) => step.writes.filter((write) => write.kind === 'write-chains'));
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
 * How many rules will lie below in each chain that is in the kernel as we wrote it: its own, what lies below those already, and what
 * returns above them. An empty chain has none. One that is written twice is replaced each time: what lies below would be more than
 * what is observed.
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
    if (!isOnce || found?.kind !== 'written') continue;
    const old = found.chain.rules.length + (found.below ?? 0);
    sum += found.chain.rules.length;
    if (old > 0 && old <= maxBelow) below.set(name, old + 1);
  }
  return sum > maxCoveredRules ? new Map() : below;
}

function trimOf({ family, table, chains, covered }: ChainsWrite): KernelWrite | undefined {
  if (covered === undefined) return undefined;
  const trimmed = chains.flatMap(({ name, rules }) => {
    const go = covered.get(name);
    return go === undefined ? [] : [{ name, stay: rules.length, go }];
  });
  return { kind: 'trim-chains', family, table, chains: trimmed };
}
