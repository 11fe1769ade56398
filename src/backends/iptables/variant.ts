/** Which of the two iptables is in use on this node: detected once, as kubelet leaves it, then pinned. */
import { readFile } from 'node:fs/promises';
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

/** How a node is asked. */
export interface AskedNode {
  readonly run: Run;
  /** A file of its /proc; rejects where it is not there. */
  readonly readProc: (path: string) => Promise<string>;
}

/** Of the node, and of the network namespace, that this process is in. */
export function readProc(path: string): Promise<string> {
  return readFile(path, 'utf8');
}

/** `auto`: kubelet's hint, else where rules are, else nft. */
export async function detectVariant(node: AskedNode, choice: IptablesVariant | 'auto'): Promise<DetectedVariant> {
  if (choice !== 'auto') return withMix(choice, 'configured', await survey(node, choice === 'nft' ? 'legacy' : 'nft'));
  const [nft, legacy] = await Promise.all([survey(node, 'nft'), survey(node, 'legacy')]);
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

async function survey(node: AskedNode, variant: IptablesVariant): Promise<Survey> {
  const { run } = node;
  const places = await placesOf(node, variant);
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
async function placesOf(node: AskedNode, variant: IptablesVariant): Promise<readonly Place[]> {
  const existing = ipFamilies.map(async (family): Promise<readonly Place[]> => {
    const all = tableNames.map((table) => ({ family, table }));
    if (variant === 'nft') return all;
    // Not there: neither is the family's module.
    const names = await node.readProc(`/proc/net/${family === 'ipv4' ? 'ip' : 'ip6'}_tables_names`).catch(() => '');
    return all.filter(({ table }) => names.split('\n').includes(table));
  });
  return (await Promise.all(existing)).flat();
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
