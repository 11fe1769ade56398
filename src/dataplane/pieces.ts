/** Bounded transactions. */
import { unreachable } from '../lib/unreachable.ts';
import type { Action, Chain } from './rule.ts';

export interface PieceLimits {
  readonly lines: number;
  readonly chains: number;
}

/** iptables-nft-restore (1.8.9): the cost of a transaction grows with the square of its size. 700 chains are about 100 services. */
export const nftPieces: PieceLimits = { lines: 5_000, chains: 700 };
/** iptables-legacy-restore copies the whole table for each transaction, however small: few and large ones are cheaper. */
export const legacyPieces: PieceLimits = { lines: 50_000, chains: 20_000 };

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
export function cutIntoPieces(chains: readonly Chain[], limits: PieceLimits): readonly (readonly Chain[])[] {
  const pieces: Chain[][] = [];
  let lines = Number.POSITIVE_INFINITY;
  for (const chain of chains) {
    const size = chain.rules.length + 1;
    const last = pieces.at(-1);
    if (last === undefined || lines + size > limits.lines || last.length >= limits.chains) {
      pieces.push([chain]);
      lines = size;
    } else {
      last.push(chain);
      lines += size;
    }
  }
  return pieces;
}

/** The chain that an action goes to. */
export function targetOf(action: Action): Chain['name'] | undefined {
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
