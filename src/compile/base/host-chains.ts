/** cali-FORWARD and cali-INPUT: what every packet through and to the node meets first. */
import {
  acceptMark,
  allCaliMarks,
  masqueradeMark,
  passMark,
  scratchMark,
  scratchMark1,
} from '../../dataplane/marks.ts';
import type { Chain, Match, Rule } from '../../dataplane/rule.ts';
import {
  clearMark,
  drop,
  from,
  hasMark,
  inSet,
  jumpTo,
  lacksMark,
  notInSet,
  returnToCaller,
  setMark,
  to,
} from '../../dataplane/rule-parts.ts';
import { addressChains } from './address-tree.ts';
import { type BaseInput, baseRule, cutSet, podRule, policedSet, programmedSet, singleAddress } from './base-input.ts';
import { forwardChain, inputChain, selfChain, workloadToHostChain } from './chain-names.ts';
import { isIcmpv6Type, neighbourTypes } from './neighbour-discovery.ts';

/** Says "allow" by returning with the accept mark; the rule appended to FORWARD accepts, so foreign drops stay in force. */
export function forwardChainOf(input: BaseInput, fromDispatch: readonly Rule[], toDispatch: readonly Rule[]): Chain {
  const rules = [
    ...openingRules(input),
    ...unknownPodRules(input, 'forward'),
    ...selfRules(),
    ...fromDispatch,
    baseRule(
      'an isolated pod that no chain asked for: its interface is not known, and what the receiver accepts is no answer',
      [{ kind: 'ctstate', states: ['NEW'] }, inSet(policedSet(input.family), 'source'), lacksMark(acceptMark)],
      drop,
    ),
    baseRule(
      "to an isolated pod the sender's verdict is not enough: only the chains of the pod itself accept, and the guard sees it",
      [inSet(policedSet(input.family), 'destination')],
      clearMark(acceptMark),
    ),
    ...toDispatch,
    baseRule(
      'only the verdict leaves this chain: the pass and scratch marks are ours alone',
      [],
      clearMark(passMark | scratchMark | scratchMark1),
    ),
  ];
  return { name: forwardChain, style: 'cali', rules };
}

/** Pods to their own node. `dispatch` finds the sending pod. */
export function inputChains(input: BaseInput, dispatch: readonly Rule[]): readonly Chain[] {
  const isPoliced = input.options.hostEgress === 'policed';
  const rules = [
    ...openingRules(input),
    ...unknownPodRules(input, 'input'),
    ...(isPoliced
      ? [baseRule("egress policy applies to a pod's packets to its own node", [], jumpTo(workloadToHostChain))]
      : []),
    baseRule('the marks mean nothing to programs on the node', [], clearMark(allCaliMarks)),
  ];
  const chain: Chain = { name: inputChain, style: 'cali', rules };
  return isPoliced ? [chain, workloadToHost(input, dispatch)] : [chain];
}

/** A pod that reaches itself through a Service: source and destination are its own address. */
export function selfChains({ endpoints }: BaseInput): readonly Chain[] {
  const entries = endpoints.flatMap((endpoint) => {
    const { address } = endpoint;
    if (address === undefined) return [];
    const own = singleAddress(address);
    const rule = podRule(endpoint, 'a pod always reaches itself', [from(own), to(own)], setMark(acceptMark));
    return [{ address, rule }];
  });
  return addressChains({ root: selfChain, side: 'destination', bucketPrefix: 'cali-self-' }, entries);
}

function workloadToHost({ options }: BaseInput, dispatch: readonly Rule[]): Chain {
  const isDropped = options.hostEndpointAction === 'drop';
  // cali-INPUT cleared the mark, so only a pod's packet can have it here.
  const action = baseRule(
    'hostEndpointAction is drop: what egress policy allows does not reach the node either',
    [hasMark(acceptMark)],
    drop,
    'Configured DefaultEndpointToHostAction',
  );
  return { name: workloadToHostChain, style: 'cali', rules: [...dispatch, ...(isDropped ? [action] : [])] };
}

function openingRules({ family, options }: BaseInput): readonly Rule[] {
  const discovery = 'IPv6 neighbour and multicast listener discovery is never policed';
  return [
    baseRule('other programs use these mark bits too: the packet starts without them', [], clearMark(allCaliMarks)),
    ...(family === 'ipv6' ? neighbourTypes.map((type) => baseRule(discovery, isIcmpv6Type(type), returnToCaller)) : []),
    ...(options.established === 'cut' ? cutRules(cutSet(family)) : []),
  ];
}

/** Before the dispatch, hence before RELATED,ESTABLISHED (netfilter-facts A1). */
function cutRules(set: ReturnType<typeof cutSet>): readonly Rule[] {
  return [
    baseRule(
      'policy has come to deny this connection: client to server',
      [inSet(set, 'source', 'destination', 'destination')],
      drop,
    ),
    baseRule(
      'policy has come to deny this connection: server to client',
      [{ kind: 'ctdir', direction: 'REPLY' }, inSet(set, 'destination', 'source', 'source')],
      drop,
    ),
  ];
}

/**
 * A pod that is not programmed yet must not communicate before its policies are in. Its node still may speak to it:
 * nothing in OUTPUT, nothing by destination in INPUT (netfilter-facts A4).
 */
function unknownPodRules(input: BaseInput, hook: 'forward' | 'input'): readonly Rule[] {
  if (input.options.podStart === 'open') return [];
  const set = programmedSet(input.family);
  const unknownSource = notInSet(set, 'source');
  if (hook === 'forward') {
    return input.podCidrs.flatMap((cidr) => [
      baseRule(
        "an address of this node's pod CIDR without a programmed pod: source",
        [from(cidr), unknownSource],
        drop,
      ),
      baseRule(
        "an address of this node's pod CIDR without a programmed pod: destination",
        [to(cidr), notInSet(set, 'destination')],
        drop,
      ),
    ]);
  }
  return input.podCidrs.map((cidr) =>
    baseRule(
      'a pod that is not programmed may answer its node (probes), and begin nothing; the gateway is the node itself',
      [
        { kind: 'interface', direction: 'in', name: 'lo', negate: true },
        from(cidr),
        { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'], negate: true },
        unknownSource,
        { kind: 'addrtype', side: 'source', type: 'LOCAL', negate: true },
      ],
      drop,
    ),
  );
}

/** The packet came back to its sender by DNAT, and kube-proxy has marked it for masquerade. */
function selfRules(): readonly Rule[] {
  const isHairpin: readonly Match[] = [{ kind: 'ctstate', states: ['DNAT'] }, hasMark(masqueradeMark)];
  return [
    baseRule('a pod may be reaching itself through a Service', isHairpin, jumpTo(selfChain)),
    baseRule('a pod always reaches itself: no policy is asked', [hasMark(acceptMark)], returnToCaller),
  ];
}
