/** Addresses and CIDRs of tests, from text. */
export { knownCidr as cidr, knownIp as ip } from '../src/lib/ip.ts';
