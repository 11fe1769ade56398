/**
 * nat POSTROUTING: a pod's packets that leave the cluster get the node's address, for nobody outside knows the way back to a
 * pod. Calico's chains and sets (felix.md 2.4; the rule's id is that of every Calico <= v3.28 node).
 */
import { setName } from '../../dataplane/names.ts';
import type { Chain, Hook, IpSet } from '../../dataplane/rule.ts';
import { inSet, jumpTo, notInSet } from '../../dataplane/rule-parts.ts';
import { type Cidr, formatCidr, type IpFamily } from '../../lib/ip.ts';
import { baseRule } from './base-input.ts';
import { natOutgoingChain, postroutingChain } from './chain-names.ts';

export function natOutgoingChains(family: IpFamily): readonly Chain[] {
  return [
    {
      name: postroutingChain,
      style: 'cali',
      rules: [baseRule('pods that speak to somebody outside the cluster', [], jumpTo(natOutgoingChain))],
    },
    {
      name: natOutgoingChain,
      style: 'cali',
      rules: [
        baseRule(
          "natOutgoing: outside the cluster the pod has its node's address",
          [inSet(masqueradePools(family), 'source'), notInSet(allPools(family), 'destination')],
          { kind: 'masquerade', randomFully: true },
        ),
      ],
    },
  ];
}

/** `pools`: the pod networks of the whole cluster, all of which are masqueraded. */
export function natOutgoingSets(family: IpFamily, pools: readonly Cidr[]): readonly IpSet[] {
  const members = new Set(pools.filter((cidr) => cidr.family === family).map(formatCidr));
  const set = { family, type: 'hash:net', members } as const;
  return [
    { ...set, name: masqueradePools(family), origin: { note: 'pods that are masqueraded outside the cluster' } },
    { ...set, name: allPools(family), origin: { note: 'the cluster: pods there see each other as they are' } },
  ];
}

/**
 * Appended: after KUBE-POSTROUTING, which clears its mark as it masquerades. With the mark left on, a packet would be masqueraded
 * again on its way out of a tunnel.
 */
export const natOutgoingHook: Hook = {
  table: 'nat',
  chain: 'POSTROUTING',
  position: 'last',
  style: 'cali',
  rule: baseRule('source addresses outside the cluster', [], jumpTo(postroutingChain)),
};

function masqueradePools(family: IpFamily): ReturnType<typeof setName> {
  return setName('masq-ipam-pools', family);
}

function allPools(family: IpFamily): ReturnType<typeof setName> {
  return setName('all-ipam-pools', family);
}
