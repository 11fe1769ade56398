/**
 * Sluice's Services beside the real kube-proxy: seeded clusters through a real API server, compared by every probe that
 * the tracer can walk, by real packets, and rule by rule. `node e2e/differential/run.ts --clusters 200 --seed 7`
 */
import { parseArgs } from 'node:util';
import type { Configuration } from './configurations.ts';
import { configurations } from './configurations.ts';
import type { Setting } from './differential.ts';
import { compareCluster, smallest } from './differential.ts';
import { generateCluster } from './generate.ts';
import { findPlanted } from './planted.ts';
import { describeDifference, describeSmallest, Totals } from './report.ts';
import { Stage } from './stage.ts';

export interface DifferentialOptions {
  readonly seed: number;
  readonly clusters: number;
  /** Probes of each cluster that are sent as packets. */
  readonly packets: number;
  /** Part of a configuration's name; absent: all of them. */
  readonly only?: string;
  /** The seed of one cluster, as a report names it: no other is made, and it is tried in every configuration. */
  readonly cluster?: number;
}

/** Few of each configuration: two to three minutes. */
export const defaults: DifferentialOptions = { seed: 1, clusters: 30, packets: 24 };

/** Whether nothing differs and what was planted was found; `tell` hears the report line by line. */
export async function runDifferential(options: DifferentialOptions, tell: (line: string) => void): Promise<boolean> {
  const chosen = configurations.filter(({ name }) => name.includes(options.only ?? ''));
  if (chosen.length === 0) throw new Error(`no configuration is called ${options.only}`);
  tell(`differential: seed ${options.seed}, ${options.clusters} clusters, ${chosen.length} configurations`);
  const totals = new Totals();
  const started = performance.now();
  const stage = await Stage.up(tell);
  try {
    for (const [index, configuration] of chosen.entries()) {
      const seeds = seedsOf(options, index, chosen.length);
      await runConfiguration(stage, configuration, { seeds, packets: options.packets, totals, tell });
    }
    for (const line of totals.lines()) tell(line);
    const isFound = await findPlanted(stage, tell);
    tell(`differential: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return totals.differing === 0 && isFound;
  } finally {
    await stage.down();
  }
}

interface Share {
  readonly seeds: readonly number[];
  readonly packets: number;
  readonly totals: Totals;
  readonly tell: (line: string) => void;
}

async function runConfiguration(stage: Stage, configuration: Configuration, share: Share): Promise<void> {
  const { seeds, packets, totals, tell } = share;
  if (seeds.length === 0) return;
  const started = performance.now();
  const nodes = await stage.nodes(configuration);
  const setting: Setting = { api: stage.api, nodes, packets };
  const differing: number[] = [];
  for (const seed of seeds) {
    const cluster = generateCluster(seed);
    const compared = await compareCluster(setting, cluster);
    totals.add(compared);
    if (compared.differences.length === 0) continue;
    differing.push(seed);
    tell(`seed ${seed}: ${compared.differences.length} differences, the first of them:`);
    for (const difference of compared.differences.slice(0, 3)) tell(describeDifference(difference));
    tell(describeSmallest(await smallest(setting, cluster, compared)));
  }
  await nodes.down();
  const result = differing.length === 0 ? 'all the same' : `DIFFERENT with seeds ${differing.join(', ')}`;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  tell(`${configuration.name}: ${seeds.length} clusters, ${result}, ${seconds} s`);
}

/** The clusters are dealt out to the configurations one by one; each has a seed of its own. */
function seedsOf(options: DifferentialOptions, index: number, configurationCount: number): readonly number[] {
  const { seed, clusters, cluster } = options;
  if (cluster !== undefined) return [cluster];
  const all = Array.from({ length: clusters }, (_, at) => seed * 10_000 + at);
  return all.filter((_seed, at) => at % configurationCount === index);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(defaults.seed) },
      clusters: { type: 'string', default: String(defaults.clusters) },
      packets: { type: 'string', default: String(defaults.packets) },
      only: { type: 'string', default: '' },
      cluster: { type: 'string' },
    },
  });
  const { seed, clusters, packets, only, cluster } = values;
  const options = {
    seed: Number(seed),
    clusters: Number(clusters),
    packets: Number(packets),
    only,
    ...(cluster === undefined ? {} : { cluster: Number(cluster) }),
  };
  if (!(await runDifferential(options, (line) => process.stdout.write(`${line}\n`)))) process.exitCode = 1;
}
