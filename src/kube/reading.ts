/** Reads addresses and words out of an object of the API, and remembers what could not be used: a value, never an exception. */
import type { Protocol } from '../cluster/objects.ts';
import { compact } from '../lib/compact.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { formatCidr, parseCidr, parseIp, parseOldCidr, parseOldIp } from '../lib/ip.ts';
import { textOf } from './api-object.ts';
import { SharedValues } from './shared-values.ts';

export interface Problem {
  readonly severity: 'error' | 'warning';
  /** Field path, e.g. `status.podIPs[0].ip`. */
  readonly path: string;
  readonly message: string;
}

const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

export class Reading {
  readonly problems: Problem[] = [];
  readonly #shared: SharedValues;

  constructor(shared: SharedValues = new SharedValues()) {
    this.#shared = shared;
  }

  /** A value that says the same as one of an earlier object is that one. */
  share<T>(value: T): T {
    return this.#shared.share(value);
  }

  problem(path: string, message: string): undefined {
    this.problems.push({ severity: 'warning', path, message });
  }

  ip(value: unknown, path: string): IpAddress | undefined {
    const text = textOf(value);
    if (text === undefined) return undefined;
    const unused = 'is not an IP address, expected one such as 10.0.0.1 or fd00::1; it is not used';
    const address = parseIp(text);
    if (address !== undefined) return address;
    const old = parseOldIp(text);
    if (old === undefined) return this.problem(path, `${JSON.stringify(text)} ${unused}`);
    this.#tellOld(text, path, old);
    return old;
  }

  cidr(value: unknown, path: string): Cidr | undefined {
    const text = textOf(value)?.trim();
    if (text === undefined) return undefined;
    const unused = 'is not a CIDR, expected one such as 10.0.0.0/8 or fd00::/8; it is not used';
    const cidr = parseCidr(text);
    if (cidr !== undefined) return cidr;
    const old = parseOldCidr(text);
    if (old === undefined) return this.problem(path, `${JSON.stringify(text)} ${unused}`);
    this.#tellOld(text, path, formatCidr(old));
    return old;
  }

  #tellOld(text: string, path: string, meaning: string): void {
    this.problem(path, `${JSON.stringify(text)} is an old spelling, read as ${meaning}`);
  }

  /** TCP where nothing is stated. */
  protocol(value: unknown, path: string): Protocol | undefined {
    return this.word(value ?? 'TCP', protocols, path);
  }

  /** One of a few words; undefined where nothing is stated. */
  word<Word extends string>(value: unknown, words: readonly Word[], path: string): Word | undefined {
    if (value === undefined || value === null || value === '') return undefined;
    const word = words.find((candidate) => candidate === value);
    return word ?? this.problem(path, `${JSON.stringify(value)} is not known here, expected ${words.join(' or ')}`);
  }
}

/** The items that were read. */
export function eachOf<T>(
  items: readonly unknown[],
  read: (item: unknown, index: number) => T | undefined,
): readonly T[] {
  const result: T[] = [];
  for (const [index, item] of items.entries()) {
    const value = read(item, index);
    if (value !== undefined) result.push(value);
  }
  return compact(result);
}
