/** Values from ranges: the first free one from a hash of the owner's name on, and once given it stays. */
import { createHash } from 'node:crypto';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { bitsOf, ipFromInteger, ipToInteger } from '../lib/ip.ts';

/** Numbered values; `at` yields undefined for those that are kept for others. */
export interface ValueRange<T> {
  readonly size: number;
  at(index: number): T | undefined;
}

/** Larger ranges are used from their start only: nobody has more pods in a directory of manifests. */
const rangeLimit = 65_536;

/** The same number for the same text, on every machine. */
export function hashNumber(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0);
}

/** The first value, from the hash of `owner` on and round, that `isTaken` does not know; undefined where none is left. */
export function firstFree<T>(owner: string, range: ValueRange<T>, isTaken: (value: T) => boolean): T | undefined {
  const start = range.size === 0 ? 0 : hashNumber(owner) % range.size;
  for (let step = 0; step < range.size; step += 1) {
    const value = range.at((start + step) % range.size);
    if (value !== undefined && !isTaken(value)) return value;
  }
  return undefined;
}

/** Addresses of a network, without its own, its first (the gateway's) and its last (broadcast). */
export function hostsOf(cidr: Cidr): ValueRange<IpAddress> {
  const size = sizeOf(cidr.family === 'ipv4' ? 32 - cidr.prefixLength : 128 - cidr.prefixLength);
  const first = ipToInteger(cidr.address);
  const at = (index: number) => {
    const isKept = size >= 4 && (index < 2 || index === size - 1);
    return isKept ? undefined : ipFromInteger(first + BigInt(index), cidr.family);
  };
  return { size, at };
}

/** The networks of `prefixLength` bits in a network; itself where it is not larger. */
export function subnetsOf(cidr: Cidr, prefixLength: number): ValueRange<Cidr> {
  const length = Math.max(prefixLength, cidr.prefixLength);
  const first = ipToInteger(cidr.address);
  const step = 1n << BigInt(bitsOf(cidr.family) - length);
  const at = (index: number): Cidr => ({
    family: cidr.family,
    prefixLength: length,
    address: ipFromInteger(first + BigInt(index) * step, cidr.family),
  });
  return { size: sizeOf(length - cidr.prefixLength), at };
}

export function numbersBetween(first: number, last: number): ValueRange<number> {
  return { size: last - first + 1, at: (index) => first + index };
}

function sizeOf(bits: number): number {
  return bits >= 16 ? rangeLimit : 2 ** bits;
}
