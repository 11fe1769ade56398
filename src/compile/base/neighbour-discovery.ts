/** ICMPv6 without which IPv6 does not work at all; bridged, it passes FORWARD like any packet (netfilter-facts A5). */
import type { Match } from '../../dataplane/rule.ts';
import { knownCidr } from '../../lib/ip.ts';

/** Multicast listener discovery, router solicitation, neighbour discovery. */
export const neighbourTypes: readonly number[] = [130, 131, 132, 133, 135, 136, 143];

export const routerAdvertisement = 134;
export const redirect = 137;

/** The sources that neighbour discovery may have besides a pod's own address. */
export const linkLocal = knownCidr('fe80::/10');
export const unspecified = knownCidr('::/128');

export function isIcmpv6Type(type: number): readonly Match[] {
  return [
    { kind: 'protocol', protocol: 'ipv6-icmp' },
    { kind: 'icmpv6-type', type },
  ];
}
