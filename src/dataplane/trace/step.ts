/** What a trace tells: every rule that matched, and every chain that ended without a word. */
import { ruleHashes } from '../hash.ts';
import type { BuiltinChain, ChainStyle, Rule, TableName } from '../rule.ts';
import type { Packet } from './packet.ts';

export type Verdict = 'accept' | 'drop' | 'reject';

interface StepPlace {
  readonly hook: BuiltinChain;
  readonly table: TableName;
  readonly chain: string;
  /** The rules of the chain; in a chain of the kernel's, those of ours at the same end. */
  readonly rules: readonly Rule[];
  /** The packet as it came. */
  readonly before: Packet;
}

export type TraceStep =
  | (StepPlace & {
      readonly kind: 'rule';
      /** 0-based place in `rules`. */
      readonly index: number;
      readonly rule: Rule;
      readonly style: ChainStyle;
      /** The rules whose hashes hang together: all of the chain, less the KUBE jumps in a chain of the kernel's. */
      readonly hashed: readonly Rule[];
      /** The packet after the rule's action. */
      readonly after: Packet;
    })
  /** No rule of the chain decided: back to the chain before, or in a chain of the kernel's its policy, ACCEPT. */
  | (StepPlace & { readonly kind: 'end' });

/** What became of a packet on one node. */
export interface Trace {
  readonly verdict: Verdict;
  /** Empty unless it was asked for. */
  readonly path: readonly TraceStep[];
  /** As it was dropped, delivered or sent on. */
  readonly packet: Packet;
  /** Where an accepted packet went: to a program of the node, or out of an interface. */
  readonly exit: 'local' | 'interface' | 'none';
}

/** The `cali:` id of a step's rule; KUBE rules have none. Costs a hash for each rule above it. */
export function stepHash(step: TraceStep): string | undefined {
  if (step.kind !== 'rule' || step.style !== 'cali') return undefined;
  return ruleHashes(step.chain, step.hashed).at(step.hashed.indexOf(step.rule));
}
