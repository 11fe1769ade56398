/** One figure of a bench, as `--json FILE` writes it. `ratio` is peerValue / ours for costs: above 1 is better. */
export interface BenchRow {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: string | null;
  readonly peerValue: number | null;
  readonly ratio: number | null;
}

/** A figure without a peer. */
export function row(name: string, unit: string, ours: number): BenchRow {
  return { name, unit, ours: round(ours), peer: null, peerValue: null, ratio: null };
}

/** p50 and max from 50 samples on, p99 from 500 on: fewer say nothing about it. */
export function percentileRows(name: string, unit: string, samples: readonly number[]): readonly BenchRow[] {
  const sorted = samples.toSorted((left, right) => left - right);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const rows = [row(`${name}/p50`, unit, at(0.5)), row(`${name}/max`, unit, at(1))];
  return samples.length >= 500 ? [...rows, row(`${name}/p99`, unit, at(0.99))] : rows;
}

/** Four significant digits: the rest is noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
