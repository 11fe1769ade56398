import { availableParallelism, loadavg } from 'node:os';

/** How much longer things take than on a machine that has a processor for everybody. */
export function slowness(): number {
  return Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}
