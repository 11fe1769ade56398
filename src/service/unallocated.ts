/**
 * ClusterIPs that no Service has, as kube-proxy's nftables mode treats them: dropped. Nobody is at such an address, and a packet that
 * followed the default route would leave the cluster, or go round in it.
 */
import type { ServiceCidr } from '../cluster/objects.ts';
import type { Rule } from '../dataplane/rule.ts';
import { type Cidr, formatCidr, type IpFamily } from '../lib/ip.ts';
import { cidrIs, makeRule } from './rules.ts';

/**
 * The end of filter KUBE-SERVICES: a packet that a Service serves has another destination by then. An address that the node has
 * itself is excepted: a name server on the node may answer for its Service.
 */
export function unallocatedRules(serviceCidrs: Iterable<ServiceCidr>, family: IpFamily): readonly Rule[] {
  const cidrs = new Map<string, readonly [cidr: Cidr, object: string]>();
  for (const { cidrs: own, name } of serviceCidrs) {
    for (const cidr of own) if (cidr.family === family) cidrs.set(formatCidr(cidr), [cidr, `ServiceCIDR ${name}`]);
  }
  const sorted = [...cidrs].sort(([one], [other]) => (one < other ? -1 : 1));
  return sorted.map(([, [cidr, object]]) =>
    makeRule(
      {
        comment: 'unallocated cluster IPs',
        origin: { object, path: 'spec.cidrs', note: 'no Service serves this address and port' },
      },
      [cidrIs('destination', cidr), { kind: 'addrtype', side: 'destination', type: 'LOCAL', negate: true }],
      { kind: 'drop' },
    ),
  );
}
