/** A diff for the log: what was found, what was expected. */
import type { KernelDiff, TableDiff } from './diff.ts';
import { ruleIds } from './diff.ts';
import type { SetWrite } from './kernel-write.ts';
import type { ObservedChain, ObservedDataplane } from './observed.ts';

export interface Difference {
  /** `ipv4 filter chain cali-FORWARD`, `ipset cali40s:...` */
  readonly place: string;
  readonly before: string;
  readonly after: string;
}

/** At most `limit` of them: a first sync is all difference. */
export function describeDiff(diff: KernelDiff, observed: ObservedDataplane, limit = 100): readonly Difference[] {
  const differences: Difference[] = [];
  for (const difference of allDifferences(diff, observed)) {
    if (differences.length === limit) break;
    differences.push(difference);
  }
  return differences;
}

function* allDifferences(diff: KernelDiff, observed: ObservedDataplane): Generator<Difference> {
  const { write, resize, retype, destroy } = diff.sets;
  for (const change of write) yield describeSetWrite(change);
  for (const { name, members } of resize) {
    const room = observed.ipSets.get(name)?.maxElements ?? 0;
    yield { place: `ipset ${name}`, before: `room for ${room}`, after: `${members.size} members` };
  }
  for (const { set } of retype) {
    const type = observed.ipSets.get(set.name)?.type ?? 'unknown';
    yield { place: `ipset ${set.name}`, before: `type ${type}`, after: `type ${set.type}` };
  }
  for (const table of diff.tables) yield* tableDifferences(table, observed);
  for (const name of destroy) yield { place: `ipset ${name}`, before: 'present', after: 'absent' };
}

function describeSetWrite({ set, create, add, remove }: SetWrite): Difference {
  const before = create ? 'absent' : remove.length === 0 ? '' : `with ${some(remove)}`;
  return { place: `ipset ${set.name}`, before, after: add.length === 0 ? '' : `with ${some(add)}` };
}

function* tableDifferences(diff: TableDiff, observed: ObservedDataplane): Generator<Difference> {
  const { family, table, write, remove, hooks } = diff;
  const found = observed.tables[family][table];
  const place = `${family} ${table}`;
  for (const chain of write) {
    const before = describeChain(found.chains.get(chain.name));
    yield { place: `${place} chain ${chain.name}`, before, after: some(ruleIds(chain)) };
  }
  for (const { chain, deletes, inserts, appends } of hooks) {
    const before = some((found.hooks.get(chain) ?? []).map(({ position, id }) => `${position}: ${id}`));
    const after = inserts.length + appends.length === 0 ? `without ${some(deletes)}` : some([...inserts, ...appends]);
    yield { place: `${place} hooks in ${chain}`, before, after };
  }
  for (const name of remove) {
    yield { place: `${place} chain ${name}`, before: describeChain(found.chains.get(name)), after: 'absent' };
  }
}

function describeChain(chain: ObservedChain | undefined): string {
  if (chain === undefined) return 'absent';
  if (chain.kind === 'unknown') return 'unknown';
  return some(chain.kind === 'read' ? chain.ids : ruleIds(chain.chain));
}

function some(items: readonly string[]): string {
  const shown = items.slice(0, 10).map((item) => (item === '' ? '(not ours)' : item));
  if (shown.length === 0) return 'empty';
  return items.length > shown.length ? `${shown.join(', ')}, ... (${items.length})` : shown.join(', ');
}
