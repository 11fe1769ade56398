/** Bounded transactions. */
import { unreachable } from '../lib/unreachable.ts';
import type { Action, Chain, ChainShape } from './rule.ts';

export interface PieceLimits {
  readonly lines: number;
  readonly chains: number;
  /** Whether a change of several transactions deletes old rules in the end, all together (delete-last.ts). */
  readonly deletesLast?: boolean;
}

/**
 * iptables-nft-restore (1.8.9): the cost of a transaction grows with the square of its size, and for each one the kernel goes through
 * all chains of the table. 200 chains are about 30 services; at 5,000 services of 5 endpoints 200 to 300 cost least, 50 and 400 more.
 */
export const nftPieces: PieceLimits = { lines: 5_000, chains: 200, deletesLast: true };
/** iptables-legacy-restore copies the whole table for each transaction, however small: few and large ones are cheaper. */
export const legacyPieces: PieceLimits = { lines: 50_000, chains: 20_000 };

/** Made once for each chain: there may be 30,000, and many make their rules anew each time they are read. */
export class ChainShapes {
  readonly #shapes = new Map<Chain, ChainShape>();

  of(chain: Chain): ChainShape {
    const known = chain.shape ?? this.#shapes.get(chain);
    if (known !== undefined) return known;
    const { rules } = chain;
    const shape = { rules: rules.length, targets: rules.flatMap(({ action }) => targetOf(action) ?? []) };
    this.#shapes.set(chain, shape);
    return shape;
  }
}

/**
 * Chains that others refer to come first, so that nothing ever jumps to what is not there yet. A chain comes soon after those it jumps
 * to: iptables-nft-restore asks the kernel about each chain that a transaction names, once for each transaction.
 */
export function leavesFirst(chains: readonly Chain[], shapes = new ChainShapes()): readonly Chain[] {
  const byName = new Map<string, Chain>(chains.map((chain) => [chain.name, chain]));
  const visited = new Set<Chain>();
  const ordered: Chain[] = [];
  const visit = (chain: Chain): void => {
    if (visited.has(chain)) return;
    visited.add(chain);
    for (const name of shapes.of(chain).targets) {
      const target = byName.get(name);
      if (target !== undefined) visit(target);
    }
    ordered.push(chain);
  };
  const targets = new Set<string>();
  for (const chain of chains) for (const name of shapes.of(chain).targets) targets.add(name);
  for (const chain of chains) if (!targets.has(chain.name)) visit(chain);
  for (const chain of chains) visit(chain);
  return ordered;
}

/** Runs of chains that fit one transaction; a chain is never cut. */
export function cutIntoPieces(
  chains: readonly Chain[],
  limits: PieceLimits,
  shapes = new ChainShapes(),
): readonly (readonly Chain[])[] {
  const pieces: Chain[][] = [];
  let lines = Number.POSITIVE_INFINITY;
  for (const chain of chains) {
    const size = shapes.of(chain).rules + 1;
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
function targetOf(action: Action): Chain['name'] | undefined {
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
