/** What a program and all that it has run cost, as the kernel counts it. */
import { readdirSync, readFileSync } from 'node:fs';

interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  /** Of itself and of its children that have ended; in ticks of 10 ms. */
  readonly cpuSeconds: number;
}

/** Of a process, its living descendants, and those that have ended and were waited for. */
export function cpuSecondsOf(pid: number): number {
  return familyOf(pid).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

/** Of the process alone, in MB: now, and the most that it ever had. */
export function residentMegabytes(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1.024) / 1e3;
}

function familyOf(pid: number): readonly ProcessTimes[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => timesOf(Number(name)) ?? []);
  const family = new Set([pid]);
  // A child has a higher id than its parent, except where ids have come round: then a second pass finds it.
  for (let known = 0; known !== family.size; ) {
    known = family.size;
    for (const { pid: own, parent } of all) if (family.has(parent)) family.add(own);
  }
  return all.filter(({ pid: own }) => family.has(own));
}

/** Undefined where the process has ended meanwhile. */
function timesOf(pid: number): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { pid, parent: Number(fields[1]), cpuSeconds: ticks / 100 };
  } catch {
    return undefined;
  }
}
