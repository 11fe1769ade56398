/** One cluster after another through both proxies; everything they do differently, and the smallest cluster that shows it. */
import type { ApiClient } from './api-client.ts';
import type { ServiceCase, TestCluster } from './api-objects.ts';
import { whyByDesign } from './by-design.ts';
import { changeCluster, deleteCluster, putCluster } from './cluster-objects.ts';
import type { Difference, Pair } from './compare-outcomes.ts';
import { compareOutcomes } from './compare-outcomes.ts';
import { compareRules } from './compare-rules.ts';
import { formerCluster } from './generate.ts';
import type { Nodes } from './nodes.ts';
import { TracedNode } from './outcome.ts';
import { comparePackets } from './packets.ts';
import { Random } from './random.ts';
import type { SavedRules } from './read-rules.ts';
import { readDataplane } from './read-rules.ts';

export interface Setting {
  readonly api: ApiClient;
  readonly nodes: Nodes;
  /** Probes of each cluster that are sent as packets too. */
  readonly packets: number;
}

export interface Compared {
  readonly services: number;
  readonly probes: number;
  readonly packets: number;
  readonly rules: number;
  readonly tally: ReadonlyMap<string, number>;
  readonly packetTally: ReadonlyMap<string, number>;
  /** What nothing excuses. */
  readonly differences: readonly Difference[];
  /** Name of a known difference to how often it was met. */
  readonly byDesign: ReadonlyMap<string, number>;
}

let markers = 0;

/** Never given before by this process, whose API server is its own. */
export function nextMarker(): string {
  markers += 1;
  return `marker-${markers}`;
}

/** Puts the cluster in, at once or by way of what was there before it, compares, and takes it out again. */
export async function compareCluster(setting: Setting, cluster: TestCluster): Promise<Compared> {
  const { api, nodes } = setting;
  const former = formerCluster(cluster);
  const [marker, formerMarker] = [nextMarker(), nextMarker()];
  try {
    if (former === undefined) await putCluster(api, cluster, marker);
    else {
      await putCluster(api, former, formerMarker);
      await nodes.settle(former, formerMarker);
      await changeCluster(api, { cluster: former, marker: formerMarker }, cluster, marker);
    }
    const saved = await nodes.settle(cluster, marker);
    return await compareNow(setting, cluster, saved);
  } finally {
    await deleteCluster(api, cluster, marker);
    if (former !== undefined) await deleteCluster(api, former, formerMarker);
  }
}

/** What the two nodes do with `cluster`, whose rules are `saved`. */
export async function compareNow(setting: Setting, cluster: TestCluster, saved: Pair<SavedRules>): Promise<Compared> {
  const traced = tracedNodes(setting.nodes, saved);
  const outcomes = compareOutcomes(cluster, traced);
  const rules = compareRules(saved);
  const packets = await comparePackets({
    cluster,
    traced,
    worlds: setting.nodes.worlds,
    random: new Random(cluster.seed),
    count: setting.packets,
    isByDesign: (difference) => whyByDesign(difference, cluster) !== undefined,
  });
  const all = [...outcomes.differences, ...rules.differences, ...packets.differences];
  const byDesign = new Map<string, number>();
  for (const name of all.flatMap((difference) => whyByDesign(difference, cluster) ?? [])) {
    byDesign.set(name, (byDesign.get(name) ?? 0) + 1);
  }
  return {
    services: cluster.cases.length,
    probes: outcomes.probes,
    packets: packets.probes,
    rules: rules.rules,
    tally: outcomes.tally,
    packetTally: packets.tally,
    differences: all.filter((difference) => whyByDesign(difference, cluster) === undefined),
    byDesign,
  };
}

/** The least part of `cluster` that still differs: one Service alone where that is enough, else what cannot be left out. */
export async function smallest(given: Setting, cluster: TestCluster, found: Compared): Promise<SmallestCluster> {
  // What a packet told must be asked again, wherever in the sample it was.
  const setting = { ...given, packets: Math.max(given.packets, manyPackets) };
  const suspects = new Set(found.differences.map(({ service }) => service));
  const isSuspect = ({ service }: ServiceCase): boolean => suspects.has(service.metadata.name);
  for (const one of cluster.cases.filter(isSuspect).slice(0, mostAlone)) {
    const alone = await differing(setting, cluster, [one]);
    if (alone !== undefined) return alone;
  }
  let least: SmallestCluster = { cluster, compared: found };
  for (let size = Math.ceil(cluster.cases.length / 2); ; size = Math.ceil(size / 2)) {
    least = await withoutPieces(setting, least, size);
    if (size === 1) return least;
  }
}

/** Leaves out pieces of `size` Services one after the other, for as long as what is left differs. */
async function withoutPieces(setting: Setting, from: SmallestCluster, size: number): Promise<SmallestCluster> {
  let least = from;
  for (let at = 0; at < least.cluster.cases.length; ) {
    const { cases } = least.cluster;
    const rest = cases.toSpliced(at, size);
    const fewer = rest.length === 0 ? undefined : await differing(setting, least.cluster, rest);
    if (fewer === undefined) at += size;
    else least = fewer;
  }
  return least;
}

async function differing(
  setting: Setting,
  cluster: TestCluster,
  cases: readonly ServiceCase[],
): Promise<SmallestCluster | undefined> {
  const part = { ...cluster, cases };
  const compared = await compareCluster(setting, part);
  return compared.differences.length === 0 ? undefined : { cluster: part, compared };
}

const manyPackets = 200;
/** So many Services are tried one by one. */
const mostAlone = 5;

export interface SmallestCluster {
  readonly cluster: TestCluster;
  readonly compared: Compared;
}

function tracedNodes({ interfaces }: Nodes, saved: Pair<SavedRules>): Pair<TracedNode> {
  return {
    kubeProxy: new TracedNode(readDataplane(saved.kubeProxy), interfaces),
    sluice: new TracedNode(readDataplane(saved.sluice), interfaces),
  };
}
