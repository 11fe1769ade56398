/**
 * A table of Services that is too large to be read: with 110,000 rules iptables-nft-save takes ten seconds and 100 MB. The names of its
 * chains cost a fiftieth; with their content unknown all of them are written again, in bounded pieces, and the same text disturbs no connection.
 */
import type { ObservedChain, ObservedHook, ObservedTable, Ownership } from '../../dataplane/observed.ts';
import { isBuiltinChain } from '../../dataplane/observed.ts';
import { ownsChain } from '../../dataplane/ownership.ts';
import type { BuiltinChain, TableName } from '../../dataplane/rule.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { Run } from '../exec.ts';
import { CommandError } from '../exec.ts';

const familyNames: Readonly<Record<IpFamily, string>> = { ipv4: 'ip', ipv6: 'ip6' };

/** About 20,000 lines: a Service of five endpoints is 6 chains and 22 lines. */
export const largeTableChains = 5_000;

/** All chains of the tables of nf_tables, of one family or of all. Undefined where they cannot be had by themselves. */
export async function chainNames(
  run: Run,
  only?: IpFamily,
): Promise<((family: IpFamily, table: TableName) => readonly string[]) | undefined> {
  try {
    const { stdout } = await run(['nft', 'list', 'chains', ...(only === undefined ? [] : [familyNames[only]])]);
    return (family, table) => parseChainNames(stdout, family, table);
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

/** Of `nft list chains`: `table ip nat {`, then `\tchain KUBE-SERVICES {` for each. */
export function parseChainNames(text: string, family: IpFamily, table: TableName): readonly string[] {
  const heading = `table ${familyNames[family]} ${table} `;
  const names: string[] = [];
  let isInside = false;
  for (const line of text.split('\n')) {
    if (line.startsWith('table ')) isInside = line.startsWith(heading);
    else if (isInside && line.startsWith('\tchain ')) names.push(line.split(' ')[1] ?? '');
  }
  return names;
}

/** What is ours, by name; hooks are read. */
export async function namesAlone(
  names: readonly string[],
  ownership: Ownership,
  readHooks: (chain: BuiltinChain) => Promise<readonly ObservedHook[]>,
): Promise<ObservedTable> {
  const own = names.filter((name) => ownsChain(name, ownership));
  const chains = new Map(own.map((name): [string, ObservedChain] => [name, { kind: 'unknown' }]));
  const hooks = names.filter(isBuiltinChain).map(async (chain) => [chain, await readHooks(chain)] as const);
  return { chains, hooks: new Map(await Promise.all(hooks)) };
}
