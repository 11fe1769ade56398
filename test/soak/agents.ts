/** What the agents of a soak need and how long they take, read from their own metrics and from /proc. */
import { readFile } from 'node:fs/promises';
import type { LabState } from '../../src/lab/run-directory.ts';
import { inside } from '../kernel/raw-packets.ts';

export interface AgentSample {
  readonly node: string;
  readonly pid: number;
  readonly residentMb: number;
  readonly heapMb: number;
  readonly cpuSeconds: number;
  readonly failures: number;
  readonly driftRepairs: number;
  /** Of sluice_programming_latency_seconds since the start: upper bound in seconds to cumulative count. */
  readonly buckets: ReadonlyMap<number, number>;
  readonly latencySum: number;
  readonly latencyCount: number;
}

/** One sample for each node's agent; throws where one does not answer. */
export async function sampleAgents({ nodes, processes }: LabState): Promise<readonly AgentSample[]> {
  return Promise.all(
    nodes.map(async ({ name, netns }) => {
      const pid = processes.find(({ what }) => what === `agent ${name}`)?.pid ?? 0;
      const text = await inside(netns, ['curl', '-sS', '--max-time', '20', 'http://127.0.0.1:9840/metrics']);
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return {
        node: name,
        pid,
        residentMb: Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024,
        heapMb: sumOf(text, 'nodejs_heap_size_used_bytes') / 2 ** 20,
        cpuSeconds: sumOf(text, 'process_cpu_seconds_total'),
        failures: sumOf(text, 'sluice_reconcile_errors_total'),
        driftRepairs: sumOf(text, 'sluice_drift_repairs_total'),
        ...latencyOf(text),
      };
    }),
  );
}

export interface Latency {
  readonly count: number;
  readonly meanMs: number;
  /** The bound of the bucket that the share falls into, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Between two samples of one agent, or of several added up. */
export function latencyBetween(before: readonly AgentSample[], after: readonly AgentSample[]): Latency {
  const bounds = [...(after[0]?.buckets.keys() ?? [])];
  const total = (samples: readonly AgentSample[], read: (sample: AgentSample) => number): number =>
    samples.reduce((sum, sample) => sum + read(sample), 0);
  const difference = (read: (sample: AgentSample) => number): number => total(after, read) - total(before, read);
  const count = difference(({ latencyCount }) => latencyCount);
  const at = (share: number): number =>
    1000 * (bounds.find((bound) => difference(({ buckets }) => buckets.get(bound) ?? 0) >= share * count) ?? Infinity);
  return {
    count,
    meanMs: count === 0 ? 0 : (1000 * difference(({ latencySum }) => latencySum)) / count,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

function latencyOf(text: string): Pick<AgentSample, 'buckets' | 'latencySum' | 'latencyCount'> {
  const name = 'sluice_programming_latency_seconds';
  const buckets = new Map<number, number>();
  for (const [, bound = '', count] of text.matchAll(
    new RegExp(String.raw`^${name}_bucket\{[^}]*le="([^"]+)"[^}]*\} (\d+)$`, 'gm'),
  )) {
    if (bound !== '+Inf') buckets.set(Number(bound), (buckets.get(Number(bound)) ?? 0) + Number(count));
  }
  return { buckets, latencySum: sumOf(text, `${name}_sum`), latencyCount: sumOf(text, `${name}_count`) };
}

function sumOf(text: string, name: string): number {
  const found = [...text.matchAll(new RegExp(String.raw`^${name}(?:\{[^}]*\})? (\S+)$`, 'gm'))];
  return found.reduce((sum, [, value]) => sum + Number(value), 0);
}
