/** V8 keeps the room that a start has taken: one full collection when all is calm gives a third of the memory back (143 -> 105 MB). */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '../telemetry/system-clock.ts';
import type { KernelKeeper } from './kernel-keeper.ts';

const calmMs = 5000;

/** Once, when nothing was written for a while after the first write. Ends early when `signal` aborts. */
export async function shrinkHeapWhenCalm(kernel: Pick<KernelKeeper, 'lastUpdate'>, signal: AbortSignal): Promise<void> {
  let before = kernel.lastUpdate;
  for (;;) {
    await systemClock.sleep(calmMs, signal);
    if (signal.aborted) return;
    if (before !== undefined && kernel.lastUpdate === before) break;
    before = kernel.lastUpdate;
  }
  collectGarbage();
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
}
