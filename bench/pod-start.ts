/** Pods that start in a lab: how long their first packets wait, beside how long their rules took. A leak is an error. */
import type { PodStart } from '../test/kernel/pod-start.ts';
import { startPods } from '../test/kernel/pod-start.ts';
import type { BenchRow } from './row.ts';
import { row } from './row.ts';

/** Rejects where one packet got through that policy denies. */
export async function benchPodStart(count: number): Promise<readonly BenchRow[]> {
  const starts = await startPods({ count, podStart: 'closed', onStart: tellLeaks });
  const leaks = starts.flatMap(({ leaks: own }) => own);
  if (leaks.length > 0) throw new Error(`${leaks.length} leaks in ${count} starts: ${leaks[0]}`);
  const series: Readonly<Record<string, (start: PodStart) => number>> = {
    programmed: ({ programmedMs }) => programmedMs,
    'from-its-node': ({ delayMs }) => delayMs.local,
    'from-another-node': ({ delayMs }) => delayMs.remote,
    'to-another-node': ({ delayMs }) => delayMs.out,
    'wait-after-programmed': ({ delayMs, programmedMs }) => Math.max(delayMs.local, delayMs.remote) - programmedMs,
  };
  return Object.entries(series).flatMap(([name, read]) => rowsOf(`pod-start/${count}/${name}`, starts.map(read)));
}

function rowsOf(name: string, samples: readonly number[]): readonly BenchRow[] {
  const sorted = samples.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return [row(`${name}/p50`, 'ms', at(0.5)), row(`${name}/p99`, 'ms', at(0.99)), row(`${name}/max`, 'ms', at(1))];
}

function tellLeaks({ leaks }: PodStart, index: number): void {
  for (const leak of leaks) console.error(`bench: start ${index}: ${leak}`);
}
