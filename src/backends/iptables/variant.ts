/** Which of the two iptables is in use on this node: detected once, as kubelet leaves it, then pinned. */
import { ipFamilies } from '../../dataplane/dataplane.ts';
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
  const texts = await Promise.all(ipFamilies.map((family) => saveAll(run, variant, family)));
  const lines = texts.flatMap((text) => text.split('\n'));
  return {
    variant,
    hasHint: lines.some((line) => line.startsWith(':KUBE-IPTABLES-HINT ') || line.startsWith(':KUBE-KUBELET-CANARY ')),
    rules: lines.filter((line) => line.startsWith('-A ')).length,
  };
}

/** A variant that cannot be asked has no rules. Legacy is asked only for tables that exist: asking for one makes the kernel load it. */
async function saveAll(run: Run, variant: IptablesVariant, family: IpFamily): Promise<string> {
  const name = family === 'ipv4' ? 'ip' : 'ip6';
  try {
    if (variant === 'legacy' && (await run(['cat', `/proc/net/${name}_tables_names`])).stdout.trim() === '') return '';
    return (await run([`${name}tables-${variant}-save`])).stdout;
  } catch (error) {
    if (error instanceof CommandError) return '';
    throw error;
  }
}
