/** Everything of a family that does not depend on what the policies say. */
import type { CompileOptions } from '../options.ts';
import type { Hook, Rule } from '../../dataplane/rule.ts';
import { acceptMark } from '../../dataplane/marks.ts';
import { accept, hasMark, jumpTo } from '../../dataplane/rule-parts.ts';
import { type BaseInput, baseRule, type TableChain } from './base-input.ts';
import { forwardChain, inputChain, postroutingChain, preroutingChain } from './chain-names.ts';
import { fromDispatch, toDispatch } from './dispatch.ts';
import { guardChain } from './guard.ts';
import { forwardChainOf, inputChains, selfChains } from './host-chains.ts';
import { natOutgoingChains, natOutgoingHook } from './nat-outgoing.ts';
import { sourceCheckChains } from './source-check.ts';

export function renderBaseChains(input: BaseInput): readonly TableChain[] {
  const from = fromDispatch(input);
  const to = toDispatch(input);
  const filter = [
    forwardChainOf(input, from.entrance, to.entrance),
    ...inputChains(input, from.entrance),
    ...selfChains(input),
    ...from.chains,
    ...to.chains,
  ];
  const nat = input.options.natOutgoing === undefined ? [] : natOutgoingChains(input.family);
  return [
    ...sourceCheckChains(input).map((chain) => ({ table: 'raw', chain }) as const),
    { table: 'mangle', chain: guardChain(input.family) },
    ...nat.map((chain) => ({ table: 'nat', chain }) as const),
    ...filter.map((chain) => ({ table: 'filter', chain }) as const),
  ];
}

/** All of ours that do not belong to Services. */
export function baseHooks({ natOutgoing }: Pick<CompileOptions, 'natOutgoing'>): readonly Hook[] {
  return natOutgoing === undefined ? policyHooks : [...policyHooks, natOutgoingHook];
}

/** Policy comes before everybody else's accepts, so before KUBE-FORWARD's; the verdict is carried out after everybody else. */
export const policyHooks: readonly Hook[] = [
  first('raw', 'PREROUTING', baseRule('a pod sends from its own addresses only', [], jumpTo(preroutingChain))),
  first('mangle', 'POSTROUTING', baseRule('nothing goes round the policy chains', [], jumpTo(postroutingChain))),
  first('filter', 'INPUT', baseRule('policy for packets to the node', [], jumpTo(inputChain))),
  first('filter', 'FORWARD', baseRule('policy for packets through the node', [], jumpTo(forwardChain))),
  {
    table: 'filter',
    chain: 'FORWARD',
    position: 'last',
    style: 'cali',
    rule: baseRule(
      'policy accepted the packet, and no other rule dropped it',
      [hasMark(acceptMark)],
      accept,
      'Policy explicitly accepted packet.',
    ),
  },
];

function first(table: Hook['table'], chain: Hook['chain'], rule: Rule): Hook {
  return { table, chain, position: 'first', style: 'cali', rule };
}
