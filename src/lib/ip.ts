/** IP addresses and CIDRs as canonical text (RFC 5952), because the kernel's tools print and compare text. */
import ipaddr from 'ipaddr.js';
import type { Brand } from './brand.ts';

export type IpFamily = 'ipv4' | 'ipv6';

/** A canonical address: dotted quad, or RFC 5952 text as `inet_ntop` prints it. */
export type IpAddress = Brand<'IpAddress'>;

export interface Cidr {
  readonly family: IpFamily;
  /** Network address, host bits cleared. */
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/** The address in canonical form, or undefined. Leading zeros, zones and IPv4-mapped forms are refused, as the API server does. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes('%')) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return text.split('.').some((part) => part.length > 1 && part.startsWith('0')) ? undefined : canonical(text);
  }
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? undefined : canonical(address.toString());
}

/** The CIDR with its host bits cleared, or undefined. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const address = parseIp(text.slice(0, slash));
  const prefixLength = Number(text.slice(slash + 1));
  if (address === undefined || prefixLength > bitsOf(familyOf(address))) return undefined;
  return cidrOf(address, prefixLength);
}

/** A constant of the program; throws where it is no address. */
export function knownIp(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}

/** A constant of the program; throws where it is no CIDR. */
export function knownCidr(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(`not a CIDR: ${text}`);
  return cidr;
}

/** The network of `prefixLength` bits that holds `address`. */
export function cidrOf(address: IpAddress, prefixLength: number): Cidr {
  const family = familyOf(address);
  const shift = BigInt(bitsOf(family) - prefixLength);
  return { family, prefixLength, address: ipFromInteger((ipToInteger(address) >> shift) << shift, family) };
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefixLength}`;
}

export function familyOf(address: IpAddress): IpFamily {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

/** 32 or 128. */
export function bitsOf(family: IpFamily): number {
  return family === 'ipv4' ? 32 : 128;
}

export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (familyOf(address) !== cidr.family) return false;
  const shift = BigInt(bitsOf(cidr.family) - cidr.prefixLength);
  return ipToInteger(address) >> shift === ipToInteger(cidr.address) >> shift;
}

/** The first address of a network, where its hosts send to by custom. */
export function gatewayOf({ address, family }: Cidr): IpAddress {
  return ipFromInteger(ipToInteger(address) + 1n, family);
}

export function ipToInteger(address: IpAddress): bigint {
  if (familyOf(address) === 'ipv4') return BigInt(ipv4ToNumber(address));
  let value = 0n;
  for (const part of ipaddr.IPv6.parse(address).parts) value = (value << 16n) | BigInt(part);
  return value;
}

export function ipFromInteger(value: bigint, family: IpFamily): IpAddress {
  if (family === 'ipv4') return canonical([24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.'));
  const parts = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  return canonical(new ipaddr.IPv6(parts).toString());
}

/** Host and port as Go's net.JoinHostPort writes them: IPv6 in brackets. */
export function joinHostPort(address: IpAddress, port: number): string {
  return familyOf(address) === 'ipv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

function ipv4ToNumber(address: IpAddress): number {
  let value = 0;
  for (const part of address.split('.')) value = value * 256 + Number(part);
  return value;
}

function canonical(text: string): IpAddress {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one constructor of the brand
  return text as IpAddress;
}
