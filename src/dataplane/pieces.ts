/** Bounded transactions: the cost of one iptables-restore (nf_tables, 1.8.9) grows with the square of its size. */
import { unreachable } from '../lib/unreachable.ts';
import type { Action, Chain } from './rule.ts';

const maxLines = 5_000;
/** About 100 services of five endpoints. */
const maxChains = 700;

/** Chains that others refer to come first, so that nothing ever jumps to what is not there yet. */
export function leavesFirst(chains: readonly Chain[]): readonly Chain[] {
  const byName = new Map<string, Chain>(chains.map((chain) => [chain.name, chain]));
  const visited = new Set<Chain>();
  const ordered: Chain[] = [];
  const visit = (chain: Chain): void => {
    if (visited.has(chain)) return;
    visited.add(chain);
    for (const { action } of chain.rules) {
      const target = byName.get(targetOf(action) ?? '');
      if (target !== undefined) visit(target);
    }
    ordered.push(chain);
  };
  for (const chain of chains) visit(chain);
  return ordered;
}

/** Runs of chains that fit one transaction; a chain is never cut. */
export function cutIntoPieces(chains: readonly Chain[]): readonly (readonly Chain[])[] {
  const pieces: Chain[][] = [];
  let lines = Number.POSITIVE_INFINITY;
  for (const chain of chains) {
    const size = chain.rules.length + 1;
    const last = pieces.at(-1);
    if (last === undefined || lines + size > maxLines || last.length === maxChains) {
      pieces.push([chain]);
      lines = size;
    } else {
      last.push(chain);
      lines += size;
    }
  }
  return pieces;
}

function targetOf(action: Action): string | undefined {
  switch (action.kind) {
    case 'jump':
    case 'goto':
      return action.chain;
    case 'accept':
    case 'drop':
    case 'reject':
    case 'return':
    case 'set-mark':
    case 'xor-mark':
    case 'dnat':
    case 'masquerade':
    case 'none':
      return undefined;
    default:
      return unreachable(action);
  }
}
