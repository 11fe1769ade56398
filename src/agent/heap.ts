/** V8 keeps the room that a start or a storm of changes has taken: one collection when all is calm gives it back to the machine. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock } from '../lib/clock.ts';
import { systemClock } from '../telemetry/system-clock.ts';
import type { KernelKeeper } from './kernel-keeper.ts';

/** How long nothing was written, for the agent to be called calm. */
export const calmMs = 5000;
/** Between two collections: each stops the agent for some 50 ms. */
export const pauseMs = 600_000;

export interface HeapOptions {
  readonly clock?: Clock;
  readonly collect?: () => void;
}

/** Once for each time that it has become calm after writes, seldom. Ends when `signal` aborts. */
export async function shrinkHeapWhenCalm(
  kernel: Pick<KernelKeeper, 'lastUpdate'>,
  signal: AbortSignal,
  { clock = systemClock, collect = collectGarbage }: HeapOptions = {},
): Promise<void> {
  let collectedAfter: KernelKeeper['lastUpdate'];
  for (;;) {
    const before = kernel.lastUpdate;
    await clock.sleep(calmMs, signal);
    if (signal.aborted) return;
    if (before === undefined || before === collectedAfter || kernel.lastUpdate !== before) continue;
    collect();
    collectedAfter = before;
    await clock.sleep(pauseMs, signal);
  }
}

/** An ordinary full collection frees room for the heap alone; V8's last resort gives the pages back, and takes three times as long. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
