/** Names of KUBE chains, made exactly as kube-proxy makes them (kube-proxy.md 1.12), and those that are ours alone. */
import { hash as digestOf } from 'node:crypto';
import type { Protocol } from '../cluster/objects.ts';
import { type ChainName, chainName, chainNameLimit } from '../dataplane/names.ts';
import { flat } from '../lib/compact.ts';

export type PortChainKind = 'SVC' | 'SVL' | 'EXT' | 'FW';

/** `ns/name`, or `ns/name:port`: how kube-proxy calls a service port in comments and hashes. */
export function servicePortName(serviceKey: string, portName: string): string {
  return portName === '' ? serviceKey : flat(serviceKey, ':', portName);
}

/** The 16 characters that KUBE-SVC, KUBE-SVL, KUBE-EXT and KUBE-FW of a service port share. */
export function servicePortHash(portName: string, protocol: Protocol): string {
  return shortHash(portName + protocol.toLowerCase());
}

export function portChain(kind: PortChainKind, hash: string): ChainName {
  return chainName(flat('KUBE-', kind, '-', hash));
}

/** KUBE-SEP of an endpoint, `endpoint` as Go's net.JoinHostPort writes it. */
export function endpointChain(portName: string, protocol: Protocol, endpoint: string): ChainName {
  return chainName(flat('KUBE-SEP-', shortHash(portName + protocol.toLowerCase() + endpoint)));
}

/** A part of a large KUBE-SVC or KUBE-SVL: `KUBE-SVC-<hash>-<hex digits of its place in the tree>`. */
export function balanceChain(parent: ChainName, place: string): ChainName {
  return chainName(`${parent}-${place}`);
}

/**
 * A part of a large dispatch chain, named by the hex digits of what it matches: `KUBE-SERVICES-0a60` is 10.96.0.0/16.
 * IPv6 prefixes that do not fit are hashed; the leading `x` is no hex digit, so the two kinds never meet.
 */
export function dispatchChain(base: string, prefix: string): ChainName {
  const room = chainNameLimit - base.length - 1;
  const id = prefix.length <= room ? prefix : `x${digestOf('sha256', prefix).slice(0, room - 1)}`;
  return chainName(`${base}-${id}`);
}

/** RFC 4648 base32 of the first ten bytes of the SHA-256: five bytes make eight characters. */
function shortHash(text: string): string {
  const digest = digestOf('sha256', text);
  return flat(base32(digest.slice(0, 10)), base32(digest.slice(10, 20)));
}

/** Ten hex digits, ten bits at a time: a first write makes tens of thousands of names. */
function base32(digits: string): string {
  const value = Number.parseInt(digits, 16);
  const [high, low] = [Math.floor(value / 2 ** 20), value % 2 ** 20];
  return base32Pair(high >> 10) + base32Pair(high & 1023) + base32Pair(low >> 10) + base32Pair(low & 1023);
}

function base32Pair(bits: number): string {
  return base32Pairs[bits] ?? '';
}

const base32Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const base32Pairs: readonly string[] = Array.from(
  { length: 1024 },
  (_, bits) => base32Alphabet.charAt(bits >> 5) + base32Alphabet.charAt(bits & 31),
);
