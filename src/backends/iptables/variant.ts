/** Which of the two iptables is in use on this node: detected once, as kubelet leaves it, then pinned. */
import { ipFamilies, tableNames } from '../../dataplane/dataplane.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { Argv, Run } from '../exec.ts';
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
  if (choice !== 'auto') return withMix(choice, 'configured', await survey(run, choice === 'nft' ? 'legacy' : 'nft'));
  const [nft, legacy] = await Promise.all([survey(run, 'nft'), survey(run, 'legacy')]);
  const { variant, reason } = choose(nft, legacy);
  return withMix(variant, reason, variant === 'nft' ? legacy : nft);
}

function withMix(variant: IptablesVariant, reason: string, other: Survey): DetectedVariant {
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
  const places = await placesOf(run, variant);
  const small = await saveOf(run, variant, places.filter(isSmall));
  // nat may be huge, and iptables-nft takes long to print it: it is asked only where nothing else tells.
  const isTold = small.some(isRule) || small.some(isHint);
  const lines = isTold
    ? small
    : await saveOf(
        run,
        variant,
        places.filter((place) => !isSmall(place)),
      );
  return { variant, hasHint: lines.some(isHint), rules: lines.filter(isRule).length };
}

function isHint(line: string): boolean {
  return line.startsWith(':KUBE-IPTABLES-HINT ') || line.startsWith(':KUBE-KUBELET-CANARY ');
}

function isRule(line: string): boolean {
  return line.startsWith('-A ');
}

interface Place {
  readonly family: IpFamily;
  readonly table: TableName;
}

function isSmall({ table }: Place): boolean {
  return table === 'mangle' || table === 'filter';
}

async function saveOf(run: Run, variant: IptablesVariant, places: readonly Place[]): Promise<readonly string[]> {
  const texts = await Promise.all(
    places.map(({ family, table }) => outputOf(run, [programName(family, variant, 'save'), '-t', table])),
  );
  return texts.flatMap((text) => text.split('\n'));
}

/** Legacy is asked only for tables that exist: asking for one makes the kernel load it. */
async function placesOf(run: Run, variant: IptablesVariant): Promise<readonly Place[]> {
  const places = ipFamilies.flatMap((family) => tableNames.map((table) => ({ family, table })));
  if (variant === 'nft') return places;
  const files = { ipv4: '/proc/net/ip_tables_names', ipv6: '/proc/net/ip6_tables_names' };
  // One program for both; it names the file where it is given two. That one of them is not there is no failure.
  const lines = (await outputOf(run, ['grep', '-s', '', ...Object.values(files)])).split('\n');
  return places.filter(({ family, table }) => lines.includes(`${files[family]}:${table}`));
}

/** A variant that cannot be asked has no rules. */
async function outputOf(run: Run, argv: Argv): Promise<string> {
  try {
    return (await run(argv)).stdout;
  } catch (error) {
    if (error instanceof CommandError) return error.stdout;
    throw error;
  }
}
