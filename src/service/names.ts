/** Names of KUBE chains, made exactly as kube-proxy makes them (kube-proxy.md 1.12), and those that are ours alone. */
import { createHash } from 'node:crypto';
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
  const id =
    prefix.length <= room
      ? prefix
      : `x${createHash('sha256')
          .update(prefix)
          .digest('hex')
          .slice(0, room - 1)}`;
  return chainName(`${base}-${id}`);
}

/** RFC 4648 base32 of the first ten bytes of the SHA-256: five bytes make eight characters. */
function shortHash(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  return flat(...base32(digest.readUIntBE(0, 5)), ...base32(digest.readUIntBE(5, 5)));
}

function base32(value: number): readonly string[] {
  return [35, 30, 25, 20, 15, 10, 5, 0].map((shift) => base32Alphabet.charAt(Math.floor(value / 2 ** shift) % 32));
}

const base32Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
