/** mangle POSTROUTING, after filter FORWARD: a foreign rule above ours can close, never open (netfilter-facts A3). */
import { acceptMark } from '../../dataplane/marks.ts';
import type { Chain, Rule, Side } from '../../dataplane/rule.ts';
import { drop, inSet, lacksMark } from '../../dataplane/rule-parts.ts';
import type { IpFamily } from '../../lib/ip.ts';
import { baseRule, policedSet } from './base-input.ts';
import { postroutingChain } from './chain-names.ts';

/** New, forwarded, from or to a pod that a policy isolates, and no policy chain has accepted it. */
export function guardChain(family: IpFamily): Chain {
  return {
    name: postroutingChain,
    style: 'cali',
    rules: [guardRule(family, 'source'), guardRule(family, 'destination')],
  };
}

function guardRule(family: IpFamily, side: Side): Rule {
  const direction = side === 'source' ? 'from' : 'to';
  return baseRule(
    `a new packet ${direction} an isolated pod went round the policy chains: another program's rule accepted it before ours`,
    [
      { kind: 'ctstate', states: ['NEW'] },
      inSet(policedSet(family), side),
      { kind: 'addrtype', side: 'source', type: 'LOCAL', negate: true },
      lacksMark(acceptMark),
    ],
    drop,
  );
}
