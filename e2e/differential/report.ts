/** What a run of the differential test says to people. */
import type { TestCluster } from './api-objects.ts';
import { knownDifferences } from './by-design.ts';
import type { Difference } from './compare-outcomes.ts';
import type { Compared, SmallestCluster } from './differential.ts';

export class Totals {
  clusters = 0;
  services = 0;
  probes = 0;
  packets = 0;
  rules = 0;
  differing = 0;
  readonly #tally = new Map<string, number>();
  readonly #packetTally = new Map<string, number>();
  readonly #byDesign = new Map<string, number>();

  add(compared: Compared): void {
    this.clusters += 1;
    this.services += compared.services;
    this.probes += compared.probes;
    this.packets += compared.packets;
    this.rules += compared.rules;
    if (compared.differences.length > 0) this.differing += 1;
    addAll(this.#tally, compared.tally);
    addAll(this.#packetTally, compared.packetTally);
    addAll(this.#byDesign, compared.byDesign);
  }

  /** One line after another. */
  lines(): readonly string[] {
    const designed = [...this.#byDesign].map(([name, times]) => {
      const { reason = '' } = knownDifferences.find((known) => known.name === name) ?? {};
      return `  by design: ${name}, ${times} times (${reason})`;
    });
    return [
      `clusters ${this.clusters}, services ${this.services}, differing clusters ${this.differing}`,
      `probes walked through both ${this.probes}: ${listOf(this.#tally)}`,
      `probes sent in both worlds ${this.packets}; connections: ${listOf(this.#packetTally)}`,
      `rules of kube-proxy compared ${this.rules}`,
      ...designed,
    ];
  }

  /** Kinds of outcome that were met, and how often. */
  get tally(): ReadonlyMap<string, number> {
    return this.#tally;
  }
}

/** Everything about the least cluster that differs: its objects, and each difference with both ways. */
export function describeSmallest({ cluster, compared }: SmallestCluster): string {
  return [
    `smallest cluster that differs (seed ${cluster.seed}): ${cluster.cases.length} Services, zone ${cluster.zone ?? 'none'}`,
    ...objectsOf(cluster).map((object) => `  ${JSON.stringify(object)}`),
    ...compared.differences.map(describeDifference),
  ].join('\n');
}

export function describeDifference({ kind, what, kubeProxy, sluice, paths }: Difference): string {
  return [
    `difference in ${kind}: ${what}`,
    ...list('kube-proxy', kubeProxy),
    ...list('Sluice', sluice),
    ...(paths === undefined
      ? []
      : [...list('rules met at kube-proxy', paths.kubeProxy), ...list('rules met at Sluice', paths.sluice)]),
  ].join('\n');
}

function objectsOf({ cases }: TestCluster): readonly object[] {
  return cases.flatMap(({ service, slices }) => [service, ...slices]);
}

function list(title: string, lines: readonly string[]): readonly string[] {
  return [`  ${title}:`, ...lines.map((line) => `    ${line}`)];
}

function listOf(tally: ReadonlyMap<string, number>): string {
  const sorted = [...tally].toSorted(([, one], [, other]) => other - one);
  return sorted.map(([name, count]) => `${name} ${count}`).join(', ');
}

function addAll(sums: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [name, count] of more) sums.set(name, (sums.get(name) ?? 0) + count);
}
