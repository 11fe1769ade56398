/** Annotations of ours that pods may carry. */
import type { Cidr } from '../lib/ip.ts';
import { cidrOf, familyOf, bitsOf, parseCidr, parseIp } from '../lib/ip.ts';

/** Sources besides its own addresses that a pod may send from: CIDRs or addresses, separated by commas. */
export const allowedSourcesAnnotation = 'sluice.io/allowed-source-prefixes';

export interface AllowedSources {
  readonly cidrs: readonly Cidr[];
  /** Parts that are neither a CIDR nor an address; they allow nothing. */
  readonly unreadable: readonly string[];
}

export function parseAllowedSources(text: string): AllowedSources {
  const cidrs: Cidr[] = [];
  const unreadable: string[] = [];
  for (const part of text.split(',').map((piece) => piece.trim())) {
    const address = parseIp(part);
    const cidr = address === undefined ? parseCidr(part) : cidrOf(address, bitsOf(familyOf(address)));
    if (cidr !== undefined) cidrs.push(cidr);
    else if (part !== '') unreadable.push(part);
  }
  return { cidrs, unreadable };
}
