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

/** The address in canonical form, or undefined. Leading zeros, zones and IPv4-mapped forms are refused, as the API server does by now. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.includes('%')) return undefined;
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return text.split('.').some((part) => part.length > 1 && part.startsWith('0')) ? undefined : canonical(text);
  }
  if (!text.includes(':') || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? undefined : canonical(address.toString());
}

/**
 * The address as API servers once took it, and as their objects may have it still: leading zeros mean nothing, and an IPv4-mapped
 * address is the IPv4 one. What kube-proxy reads, in the place of kube-proxy must be read too.
 */
export function parseOldIp(text: string): IpAddress | undefined {
  const plain = text.replace(/\d+(?:\.\d+){3}$/, (quad) => quad.split('.').map(Number).join('.'));
  return parseIp(mappedIpv4(plain) ?? plain);
}

/** The CIDR with its host bits cleared, or undefined. */
export function parseCidr(text: string): Cidr | undefined {
  const parts = cidrParts(text);
  return parts === undefined ? undefined : networkOf(parseIp(parts.address), parts.prefixLength);
}

/** The same of an address as `parseOldIp` takes it; of a mapped one the first 96 bits are not counted. */
export function parseOldCidr(text: string): Cidr | undefined {
  const parts = cidrParts(text);
  if (parts === undefined) return undefined;
  const address = parseOldIp(parts.address);
  const isMapped = parts.address.includes(':') && address !== undefined && familyOf(address) === 'ipv4';
  return networkOf(address, parts.prefixLength - (isMapped ? mappedBits : 0));
}

const mappedBits = 96;

function mappedIpv4(text: string): string | undefined {
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : undefined;
}

function cidrParts(text: string): { readonly address: string; readonly prefixLength: number } | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  return { address: text.slice(0, slash), prefixLength: Number(text.slice(slash + 1)) };
}

function networkOf(address: IpAddress | undefined, prefixLength: number): Cidr | undefined {
  if (address === undefined || prefixLength < 0 || prefixLength > bitsOf(familyOf(address))) return undefined;
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

/** As people write it. */
export function familyName(family: IpFamily): 'IPv4' | 'IPv6' {
  return family === 'ipv4' ? 'IPv4' : 'IPv6';
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
