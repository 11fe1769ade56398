/** Long-running programs of a cluster: own session, output in a log file, ended with the estate at the latest. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Argv } from '../../src/backends/exec.ts';
import { spawnProcess } from '../../src/backends/exec.ts';
import type { Estate } from './estate.ts';
import { end, isRunning, markOf } from './running.ts';

export interface Daemon {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
  isRunning(): boolean;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL after `patienceMs` (10 s); returns when it is gone. */
  stop(patienceMs?: number): Promise<void>;
}

export interface DaemonOptions {
  readonly name: string;
  readonly log: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Starts a program; its output goes to the end of the log. */
export function startDaemon(
  estate: Pick<Estate, 'record'>,
  argv: Argv,
  { name, log, env = {} }: DaemonOptions,
): Daemon {
  mkdirSync(dirname(log), { recursive: true });
  const { pid } = spawnProcess(argv, { stdout: { file: log }, stderr: { file: log }, detached: true, env });
  const mark = markOf(pid) ?? `${pid} `;
  estate.record({ kind: 'process', mark, name });
  return {
    name,
    pid,
    log,
    isRunning: () => isRunning(mark),
    kill: (signal) => process.kill(pid, signal),
    stop: async (patienceMs) => end(mark, patienceMs),
  };
}

/** The last lines of a log, for an error message. */
export function endOfLog(file: string, lines = 12): string {
  if (!existsSync(file)) return `${file} is empty`;
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}
