/** How a rule tells the packets of this node's pods from others' (kube-proxy.md 1.6). */
import { programmedSetName } from '../dataplane/names.ts';
import type { Match } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import { detectorCidr, type LocalTrafficDetector } from './options.ts';

/** Absent: nothing is configured that could tell. */
export function isFromLocalPod(detector: LocalTrafficDetector, family: IpFamily): Match | undefined {
  switch (detector.kind) {
    case 'clusterCidr':
    case 'nodeCidr': {
      const cidr = detectorCidr(detector, family);
      return cidr === undefined ? undefined : { kind: 'address', side: 'source', cidr };
    }
    case 'bridge':
      return { kind: 'interface', direction: 'in', name: detector.name };
    case 'interfacePrefix':
      return { kind: 'interface', direction: 'in', name: `${detector.prefix}+` };
    case 'localPods':
      return { kind: 'ipset', set: programmedSetName(family), sides: ['source'] };
    case 'none':
      return undefined;
    default:
      return unreachable(detector);
  }
}

export function isNotFromLocalPod(detector: LocalTrafficDetector, family: IpFamily): Match | undefined {
  const match = isFromLocalPod(detector, family);
  if (match?.kind !== 'address' && match?.kind !== 'interface' && match?.kind !== 'ipset') return undefined;
  return { ...match, negate: true };
}
