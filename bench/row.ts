/** One figure of a bench, as `--json FILE` writes it. `ratio` is peerValue / ours for costs: above 1 is better. */
export interface BenchRow {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: string | null;
  readonly peerValue: number | null;
  readonly ratio: number | null;
}

/** What another program needed for the same, in the same run: row name to value, in the unit of our row. */
export interface PeerFigures {
  /** Name and version, as `kube-proxy 1.36.3 iptables`. */
  readonly peer: string;
  readonly values: ReadonlyMap<string, number>;
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

/** One row for each peer that has a value; a row that none has stays as it is. */
export function comparedWith(rows: readonly BenchRow[], peers: readonly PeerFigures[]): readonly BenchRow[] {
  return rows.flatMap((own) => {
    const compared = peers.flatMap(({ peer, values }) => {
      const peerValue = values.get(own.name);
      if (peerValue === undefined) return [];
      return [{ ...own, peer, peerValue: round(peerValue), ratio: round(peerValue / own.ours) }];
    });
    return compared.length === 0 ? [own] : compared;
  });
}

/** Four significant digits: the rest is noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
