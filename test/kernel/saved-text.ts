/** The kernel half of a scenario's golden files: what `iptables-save` answers once the texts of `render` are loaded. */
import type { Run } from '../../src/backends/exec.ts';

export interface RenderedTexts {
  readonly ipSets: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Tables in the order of `render`, which is that of the hooks. */
const tableOrder = ['raw', 'mangle', 'nat', 'filter'];

/** Loads the texts into an empty namespace and asks back: file name to text. */
export async function loadAndSave(
  run: Run,
  variant: 'nft' | 'legacy',
  texts: RenderedTexts,
): Promise<Readonly<Record<string, string>>> {
  await run(['ipset', 'restore'], { input: texts.ipSets });
  await run([`iptables-${variant}-restore`, '--noflush'], { input: texts.ipv4 });
  await run([`ip6tables-${variant}-restore`, '--noflush'], { input: texts.ipv6 });
  return {
    'save.v4.txt': sortedSave((await run([`iptables-${variant}-save`])).stdout),
    'save.v6.txt': sortedSave((await run([`ip6tables-${variant}-save`])).stdout),
  };
}

/** By table and chain, without comments and counters: the variants differ in the order of tables alone. The kernel still loads it. */
export function sortedSave(saved: string): string {
  const tables = saved
    .split(/^COMMIT$/m)
    .map((part) => part.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
    .filter((lines) => lines.length > 0)
    .map(sortedTable)
    .sort((left, right) => rankOf(left) - rankOf(right));
  return tables.map(({ lines }) => `${lines.join('\n')}\nCOMMIT\n`).join('\n');
}

interface SavedTable {
  readonly name: string;
  readonly lines: readonly string[];
}

function sortedTable([head = '', ...lines]: readonly string[]): SavedTable {
  const chains = lines.filter((line) => line.startsWith(':')).map((line) => line.replace(/ \[\d+:\d+\]$/, ' [0:0]'));
  const rules = lines.filter((line) => line.startsWith('-A '));
  if (!head.startsWith('*') || chains.length + rules.length !== lines.length) {
    throw new Error(`not what iptables-save prints: ${[head, ...lines].join('\n')}`);
  }
  const byChain = rules.toSorted((left, right) => compareText(chainOf(left), chainOf(right)));
  return { name: head.slice(1), lines: [head, ...chains.toSorted(compareText), ...byChain] };
}

function rankOf({ name }: SavedTable): number {
  const rank = tableOrder.indexOf(name);
  if (rank < 0) throw new Error(`unexpected table ${name}`);
  return rank;
}

function chainOf(rule: string): string {
  return rule.split(' ')[1] ?? '';
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
