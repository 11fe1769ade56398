/** Tables that somebody else has changed, as they are changed (nf_tables only). */
import { setTimeout as sleep } from 'node:timers/promises';
import { tableNames } from '../../dataplane/dataplane.ts';
import type { Ownership } from '../../dataplane/observed.ts';
import type { TableName } from '../../dataplane/rule.ts';
import type { Argv } from '../exec.ts';
import { CommandError, streamLines } from '../exec.ts';
import type { OwnProcesses } from './rule-events.ts';
import { RuleEventReader } from './rule-events.ts';

export interface WatchRulesOptions {
  readonly ownership: Ownership;
  readonly own: OwnProcesses;
  /** Pause before a monitor that ended is started again. */
  readonly restartMs?: number;
  /** How lines of a program are followed; for tests that look into another network namespace. */
  readonly lines?: (argv: Argv, signal: AbortSignal) => AsyncIterable<string>;
}

/** Piped output of nft is block-buffered: without stdbuf nothing comes before the end. */
const monitor: Argv = ['stdbuf', '-oL', 'nft', 'monitor'];

/**
 * Yields the tables of each foreign change; all tables when events were lost or the monitor ended. Ends when `signal` aborts;
 * throws CommandError where nft or stdbuf is not on this machine.
 */
export async function* watchRules(
  signal: AbortSignal,
  { ownership, own, restartMs = 1_000, lines = streamLines }: WatchRulesOptions,
): AsyncGenerator<readonly TableName[], void, undefined> {
  while (!signal.aborted) {
    try {
      yield* foreignChanges(lines(monitor, signal), ownership, own);
    } catch (error) {
      if (!(error instanceof CommandError) || error.isMissing) throw error;
      await pause(restartMs, signal);
    }
    if (!signal.aborted) yield tableNames;
  }
}

async function* foreignChanges(
  lines: AsyncIterable<string>,
  ownership: Ownership,
  own: OwnProcesses,
): AsyncGenerator<readonly TableName[], void, undefined> {
  const reader = new RuleEventReader(ownership);
  for await (const line of lines) {
    const change = reader.read(line);
    if (change !== undefined && !own.has(change.pid)) yield change.tables;
    else if (/lost .*events|ENOBUFS|No buffer space/i.test(line)) yield tableNames;
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    // Aborted: the caller looks at the signal.
  }
}
