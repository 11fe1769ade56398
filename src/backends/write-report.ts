/** What comes of the writer's calls. */
import type { Difference } from '../dataplane/describe-diff.ts';
import type { KernelWrite } from '../dataplane/kernel-write.ts';
import type { ReadScope } from './backend.ts';
import type { Refusal } from './refusals.ts';

export interface WriteReport extends Counts {
  /** How many objects a full compare found different; 0 for an ordinary change. */
  readonly differenceCount: number;
  /** The first hundred of them. */
  readonly differences: readonly Difference[];
  /** Everything that is refused at present, not only by this call. */
  readonly refused: readonly Refusal[];
  readonly durationMs: number;
}

/** One part of a compare of everything. */
export interface Inspection {
  /** What differs, as far as this part tells. */
  readonly scope: ReadScope;
  /** Everything was looked at. */
  readonly isLast: boolean;
  readonly durationMs: number;
}

export interface Counts {
  /** 0: the kernel was already as it should be. */
  readonly writes: number;
  readonly chainsWritten: number;
  readonly chainsRemoved: number;
  readonly setsWritten: number;
}

export const noCounts: Counts = { writes: 0, chainsWritten: 0, chainsRemoved: 0, setsWritten: 0 };

/** With one write more, which left the sets `kept` in place. */
export function counted(counts: Counts, write: KernelWrite, kept: readonly string[]): Counts {
  const { writes, chainsWritten, chainsRemoved, setsWritten } = counts;
  return {
    writes: writes + 1,
    chainsWritten: chainsWritten + (write.kind === 'write-chains' ? write.chains.length : 0),
    chainsRemoved: chainsRemoved + (write.kind === 'remove-chains' ? write.names.length : 0),
    setsWritten: setsWritten + setsIn(write, kept),
  };
}

function setsIn(write: KernelWrite, kept: readonly string[]): number {
  if (write.kind === 'write-sets') return write.sets.length;
  if (write.kind === 'destroy-sets') return write.names.length - kept.length;
  return write.kind === 'resize-set' ? 1 : 0;
}
