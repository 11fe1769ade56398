/** The conditions and actions that many rules share, by the names people use for them. */
import type { Cidr } from '../lib/ip.ts';
import type { ChainName, IpSetName } from './names.ts';
import type { Action, Match, Side } from './rule.ts';

export const drop: Action = { kind: 'drop' };
export const accept: Action = { kind: 'accept' };
export const returnToCaller: Action = { kind: 'return' };

export function jumpTo(chain: ChainName): Action {
  return { kind: 'jump', chain };
}

/** As a jump, but `chain` returns to where this chain was jumped to from. */
export function goTo(chain: ChainName): Action {
  return { kind: 'goto', chain };
}

export function setMark(bits: number): Action {
  return { kind: 'set-mark', value: bits, mask: bits };
}

export function clearMark(bits: number): Action {
  return { kind: 'set-mark', value: 0, mask: bits };
}

export function hasMark(bits: number): Match {
  return { kind: 'mark', value: bits, mask: bits };
}

/** `! --mark bits/bits` */
export function lacksMark(bits: number): Match {
  return { kind: 'mark', value: bits, mask: bits, negate: true };
}

/** `--mark 0/bits`: how Calico asks that none of `bits` is set. */
export function isMarkClear(bits: number): Match {
  return { kind: 'mark', value: 0, mask: bits };
}

export function from(cidr: Cidr): Match {
  return { kind: 'address', side: 'source', cidr };
}

export function to(cidr: Cidr): Match {
  return { kind: 'address', side: 'destination', cidr };
}

export function inSet(set: IpSetName, ...sides: readonly Side[]): Match {
  return { kind: 'ipset', set, sides };
}

export function notInSet(set: IpSetName, ...sides: readonly Side[]): Match {
  return { kind: 'ipset', set, sides, negate: true };
}
