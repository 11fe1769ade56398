/** What a node would have in its kernel, from the cluster's objects alone. */
import { compileOptions } from '../agent/compile-options.ts';
import type { ClusterState } from '../cluster/state.ts';
import { compileAll } from '../compile/compiler.ts';
import type { Compilation } from '../compile/compiler.ts';
import { syntheticFacts } from '../compile/synthetic-facts.ts';
import type { Config } from '../config/schema.ts';
import { CliError, exitCodes } from './exit-code.ts';

export function compileNode(state: ClusterState, nodeName: string, config: Config): Compilation {
  const facts = syntheticFacts(state, nodeName);
  return compileAll(state, compileOptions(config, nodeName, state, facts), facts);
}

/** The nodes that `wanted` means: itself, else all. */
export function nodesOf(state: ClusterState, wanted: string | undefined): readonly string[] {
  const known = [...state.nodes.keys()].sort();
  if (wanted === undefined) return known;
  if (known.includes(wanted)) return [wanted];
  throw new CliError(exitCodes.badInput, `no node is called ${wanted}; the nodes are ${known.join(', ') || 'none'}`);
}
