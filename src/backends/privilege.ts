/** Whether this process may write to the packet filter at all: where it may not, every trial fails, each in other words. */
import { readFileSync } from 'node:fs';

/** The bit of NET_ADMIN (linux/capability.h). */
const netAdmin = 12n;

/** What is lacking, as the end of "it needs ..."; undefined: nothing. */
export function lackedPrivilege(): string | undefined {
  return lackedBy(process.getuid?.() ?? 0, ownStatus());
}

/** `status`: the text of /proc/PID/status; empty: not known, and then the user counts alone. */
export function lackedBy(uid: number, status: string): string | undefined {
  if (uid === 0) return hasNetAdmin(status, 'CapEff') === false ? 'the capability NET_ADMIN' : undefined;
  // Of another user's capabilities, the programs that we run inherit the ambient ones alone.
  return hasNetAdmin(status, 'CapAmb') === true ? undefined : 'root';
}

function hasNetAdmin(status: string, set: 'CapEff' | 'CapAmb'): boolean | undefined {
  const bits = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1];
  return bits === undefined ? undefined : ((BigInt(`0x${bits}`) >> netAdmin) & 1n) === 1n;
}

function ownStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    return '';
  }
}
