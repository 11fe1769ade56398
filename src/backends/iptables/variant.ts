/** Which of the two iptables is in use on this node: detected once, as kubelet leaves it, then pinned. */
import { ipFamilies } from '../../dataplane/dataplane.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { Run } from '../exec.ts';
import { CommandError } from '../exec.ts';

export type IptablesVariant = 'nft' | 'legacy';

export interface DetectedVariant {
  readonly variant: IptablesVariant;
  /** For the log. */
  readonly reason: string;
  /** Rules are in both: one sentence for people, who should remove one half. */
  readonly mixed?: string;
}

/** `auto`: kubelet's hint, else where rules are, else nft. */
export async function detectVariant(run: Run, choice: IptablesVariant | 'auto'): Promise<DetectedVariant> {
  const nft = await survey(run, 'nft');
  const legacy = await survey(run, 'legacy');
  const { variant, reason } = choice === 'auto' ? choose(nft, legacy) : { variant: choice, reason: 'configured' };
  const other = variant === 'nft' ? legacy : nft;
  if (other.rules === 0) return { variant, reason };
  const mixed = `iptables rules are also in the ${other.variant} tables (${other.rules} rules), which the kernel applies as well; this agent writes the ${variant} ones`;
  return { variant, reason, mixed };
}

/** `iptables-nft-restore`, `ip6tables-legacy-save`, ... */
export function programName(family: IpFamily, variant: IptablesVariant, verb: 'restore' | 'save'): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${variant}-${verb}`;
}

interface Survey {
  readonly variant: IptablesVariant;
  readonly hasHint: boolean;
  readonly rules: number;
}

function choose(nft: Survey, legacy: Survey): { readonly variant: IptablesVariant; readonly reason: string } {
  const hinted = [nft, legacy].find(({ hasHint }) => hasHint);
  if (hinted !== undefined) return { variant: hinted.variant, reason: 'kubelet keeps its chains there' };
  if (nft.rules === 0 && legacy.rules > 0) return { variant: 'legacy', reason: 'all rules are there' };
  return { variant: 'nft', reason: nft.rules > 0 ? 'rules are there' : 'no rules yet' };
}

async function survey(run: Run, variant: IptablesVariant): Promise<Survey> {
  const small = await saveOf(run, variant, ['mangle', 'filter']);
  // nat may be huge, and iptables-nft takes long to print it: it is asked only where nothing else tells.
  const lines = small.some(isRule) || small.some(isHint) ? small : await saveOf(run, variant, ['nat', 'raw']);
  return { variant, hasHint: lines.some(isHint), rules: lines.filter(isRule).length };
}

function isHint(line: string): boolean {
  return line.startsWith(':KUBE-IPTABLES-HINT ') || line.startsWith(':KUBE-KUBELET-CANARY ');
}

function isRule(line: string): boolean {
  return line.startsWith('-A ');
}

async function saveOf(run: Run, variant: IptablesVariant, tables: readonly TableName[]): Promise<readonly string[]> {
  const texts = await Promise.all(
    ipFamilies.flatMap((family) => tables.map((table) => saveTable(run, variant, family, table))),
  );
  return texts.flatMap((text) => text.split('\n'));
}

/** A variant that cannot be asked has no rules. Legacy is asked only for tables that exist: asking for one makes the kernel load it. */
async function saveTable(run: Run, variant: IptablesVariant, family: IpFamily, table: TableName): Promise<string> {
  try {
    if (variant === 'legacy' && !(await legacyTables(run, family)).includes(table)) return '';
    return (await run([programName(family, variant, 'save'), '-t', table])).stdout;
  } catch (error) {
    if (error instanceof CommandError) return '';
    throw error;
  }
}

async function legacyTables(run: Run, family: IpFamily): Promise<readonly string[]> {
  const name = family === 'ipv4' ? 'ip' : 'ip6';
  return (await run(['cat', `/proc/net/${name}_tables_names`])).stdout.split('\n');
}
