/** `npm run bench -- policy`: what a node pays for the cluster's policies, in process: first calculation, one label change, memory. */
import { type ClusterChange, ClusterStore } from '../src/cluster/state.ts';
import { Compiler } from '../src/compile/compiler.ts';
import type { CompileOptions } from '../src/compile/options.ts';
import { syntheticFacts } from '../src/compile/synthetic-facts.ts';
import { benchNode, type ClusterSize, namespaceCount, policyCluster, remotePod } from './policy-cluster.ts';
import { type BenchRow, percentileRows, row } from './row.ts';

const options: CompileOptions = {
  nodeName: benchNode,
  ipFamilies: ['ipv4'],
  podStart: 'closed',
  established: 'cut',
  hostEgress: 'policed',
  hostEndpointAction: 'return',
  invalidDrop: true,
  interfacePrefixes: [],
};
const labelChanges = 500;

export function benchPolicy(size: ClusterSize): readonly BenchRow[] {
  const name = `policy/${size.pods}x${size.policies}`;
  const store = new ClusterStore();
  store.apply([...policyCluster(size)]);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  const compiler = new Compiler(store, options);
  const started = performance.now();
  compiler.apply([], syntheticFacts(store, benchNode));
  const firstSeconds = (performance.now() - started) / 1000;
  collectGarbage();
  const heapMegabytes = (process.memoryUsage().heapUsed - before) / 1e6;
  mustHaveProgrammed(compiler, size);
  const { samples, changedMembers } = changeLabels(compiler, store, size);
  if (changedMembers === 0) throw new Error(`${name}: ${labelChanges} label changes moved no set member`);
  return [
    row(`${name}/first-calculation`, 's', firstSeconds),
    row(`${name}/selectors`, 'count', compiler.policyPlan.ipSets.size),
    ...percentileRows(`${name}/label-change`, 'ms', samples),
    row(`${name}/heap-of-compiler`, 'MB', heapMegabytes),
    row(`${name}/resident`, 'MB', process.memoryUsage.rss() / 1e6),
  ];
}

function changeLabels(
  compiler: Compiler,
  store: ClusterStore,
  size: ClusterSize,
): { samples: readonly number[]; changedMembers: number } {
  const namespaces = namespaceCount(size);
  const samples: number[] = [];
  let changedMembers = 0;
  for (let index = 0; index < labelChanges; index++) {
    const change: ClusterChange = { type: 'set', object: remotePod(index % size.pods, namespaces, 1) };
    const started = performance.now();
    const { delta } = compiler.apply(store.apply([change]));
    samples.push(performance.now() - started);
    changedMembers += delta.ipSets.length;
  }
  return { samples, changedMembers };
}

/** A run that decided nothing is an error, not a fast run. */
function mustHaveProgrammed(compiler: Compiler, size: ClusterSize): void {
  const { endpoints, policyPlan, dataplane } = compiler;
  if (endpoints.size !== size.localPods) throw new Error(`${endpoints.size} endpoints, expected ${size.localPods}`);
  if (policyPlan.policies.size === 0 || dataplane.ipSets.size < 4) throw new Error('no policy became active');
}

function collectGarbage(): void {
  globalThis.gc?.();
}
