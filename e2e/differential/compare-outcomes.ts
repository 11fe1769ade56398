/** Both nodes are asked every question of a cluster; what they answer differently is told with the rules that led there. */
import type { TestCluster } from './api-objects.ts';
import type { Outcome, TracedNode } from './outcome.ts';
import type { Probe } from './probes.ts';
import { describeProbe, probesOf } from './probes.ts';

/** Something that the two nodes do differently. */
export interface Difference {
  readonly kind: 'outcome' | 'rules' | 'packets';
  /** Name of the Service; empty where it is about none. */
  readonly service: string;
  /** The question, or the chain. */
  readonly what: string;
  readonly kubeProxy: readonly string[];
  readonly sluice: readonly string[];
  /** The question, and what the rules of both say about it; absent where rules are compared. */
  readonly asked?: { readonly probe: Probe; readonly outcomes: Pair<Outcome> };
  /** Rules met on the way, where there is a way. */
  readonly paths?: { readonly kubeProxy: readonly string[]; readonly sluice: readonly string[] };
}

export interface Pair<Value> {
  readonly kubeProxy: Value;
  readonly sluice: Value;
}

export interface ComparedOutcomes {
  readonly probes: number;
  /** Probes by what becomes of them at kube-proxy: a table that never refuses anything would prove little. */
  readonly tally: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
}

export function compareOutcomes(cluster: TestCluster, nodes: Pair<TracedNode>): ComparedOutcomes {
  const tally = new Map<string, number>();
  const differences: Difference[] = [];
  const probes = probesOf(cluster);
  for (const probe of probes) {
    const [kubeProxy, sluice] = [nodes.kubeProxy.outcomeOf(probe), nodes.sluice.outcomeOf(probe)];
    const kind = kindOf(probe, kubeProxy);
    tally.set(kind, (tally.get(kind) ?? 0) + 1);
    if (kubeProxy.join() !== sluice.join()) differences.push(difference(probe, { kubeProxy, sluice }, nodes));
  }
  return { probes: probes.length, tally, differences };
}

function difference(probe: Probe, outcomes: Pair<Outcome>, nodes: Pair<TracedNode>): Difference {
  return {
    kind: 'outcome',
    service: probe.service,
    what: describeProbe(probe),
    ...outcomes,
    asked: { probe, outcomes },
    paths: { kubeProxy: nodes.kubeProxy.pathOf(probe), sluice: nodes.sluice.pathOf(probe) },
  };
}

/** `served`, `passed by` (no rule took it), `reject` or `drop`. */
export function kindOf({ to, port }: Probe, outcome: Outcome): string {
  const [first = ''] = outcome;
  const [, verdict = ''] = first.split(' ');
  if (verdict === 'reject' || verdict === 'drop') return verdict;
  const own = to.includes(':') ? `[${to}]:${port}` : `${to}:${port}`;
  return outcome.length === 1 && verdict === own ? 'passed by' : 'served';
}
