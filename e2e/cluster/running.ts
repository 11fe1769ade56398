/** Processes told apart from later ones with the same number, by the time they started. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** `PID START`: the start time is in clock ticks since the machine started (proc(5), field 22 of stat). */
export type ProcessMark = string;

/** The mark of a process; undefined when it has ended (a zombie has). */
export function markOf(pid: number): ProcessMark | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The program's name, in parentheses, may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${pid} ${fields[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

export function isRunning(mark: ProcessMark): boolean {
  return markOf(Number.parseInt(mark, 10)) === mark;
}

/** Sends a signal to a process that is still the one that was marked. */
export function signal(mark: ProcessMark, name: NodeJS.Signals): void {
  if (!isRunning(mark)) return;
  try {
    process.kill(Number.parseInt(mark, 10), name);
  } catch {
    // It ended between the look and the signal.
  }
}

/** Ends a process: SIGTERM, and SIGKILL after `patienceMs`. Returns when it is gone. */
export async function end(mark: ProcessMark, patienceMs = 10_000): Promise<void> {
  signal(mark, 'SIGTERM');
  const deadline = Date.now() + patienceMs;
  while (isRunning(mark) && Date.now() < deadline) await sleep(20);
  signal(mark, 'SIGKILL');
  while (isRunning(mark)) await sleep(20);
}
