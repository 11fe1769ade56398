/** One case through everything that is pure: read, fill, compile, render. Throws what is found. */
import { isDeepStrictEqual } from 'node:util';
import { compileOptions } from '../../src/agent/compile-options.ts';
import { lintCluster } from '../../src/cluster/lint.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { ClusterState } from '../../src/cluster/state.ts';
import { compileAll, Compiler } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { ipFamilies } from '../../src/dataplane/dataplane.ts';
import { ClusterDiff } from '../../src/manifests/cluster-diff.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { ClusterFiller } from '../../src/manifests/fill.ts';
import { mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import { configOf, type FuzzCase } from './fuzz-case.ts';
import { checkRestoreText, checkSetText } from './restore-grammar.ts';

/** CPU time that the pure part may take for one case, in milliseconds: what takes longer hangs somebody's agent. */
const deadlineMs = 5000;

/** The dataplane of each text of the case, by an agent that lives through them. */
export function judge(one: FuzzCase): readonly Dataplane[] {
  const started = process.cpuUsage();
  const result = liveThrough(one);
  const { user, system } = process.cpuUsage(started);
  const spentMs = (user + system) / 1000;
  if (spentMs > deadlineMs) throw new Error(`took ${Math.round(spentMs)} ms of CPU, expected at most ${deadlineMs}`);
  return result;
}

function liveThrough(one: FuzzCase): readonly Dataplane[] {
  const config = configOf(one);
  const defaults = clusterDefaults({ ipFamilies: config.ipFamilies, nodeCount: 2 });
  const filler = new ClusterFiller(defaults);
  const diff = new ClusterDiff();
  const store = new ClusterStore();
  let compiler: Compiler | undefined;
  let nodeName = '';
  const dataplanes: Dataplane[] = [];
  for (const text of one.texts) {
    const merged = mergeFiles(new Map([['a.yaml', parseManifest(text, 'a.yaml')]]));
    const filled = filler.fill(merged.objects);
    const changes = store.apply(diff.changesTo(filled.objects));
    if (!store.nodes.has(nodeName)) {
      compiler = undefined;
      nodeName = chooseNode(store, one.node);
    }
    const facts = factsOf(store, nodeName, one.isBridged);
    const options = compileOptions(config, nodeName, store, facts);
    // Some settings follow the cluster: then an agent compiles anew.
    if (compiler === undefined || !isDeepStrictEqual(optionsOf.get(compiler), options)) {
      compiler = new Compiler(store, options);
      optionsOf.set(compiler, options);
    }
    const { diagnostics } = compiler.apply(changes, facts);
    const ranges = { podCidrs: [defaults.podCidr.ipv4], serviceCidrs: [defaults.serviceCidr.ipv4] };
    checkMessages([...merged.diagnostics, ...filled.diagnostics, ...diagnostics, ...lintCluster(store, ranges)]);
    const scratch = compileAll(store, options, facts).dataplane;
    for (const family of ipFamilies) {
      if (iptablesRestoreText(compiler.dataplane, family) !== iptablesRestoreText(scratch, family)) {
        throw new Error(`the incremental ${family} rules are not those from scratch`);
      }
      checkRestoreText(scratch, family);
    }
    if (ipSetRestoreText(compiler.dataplane) !== ipSetRestoreText(scratch)) {
      throw new Error('the incremental sets are not those from scratch');
    }
    checkSetText(scratch);
    dataplanes.push(scratch);
  }
  return dataplanes;
}

/** Number 0 is the one with most pods. */
function chooseNode({ nodes, pods }: ClusterState, number: number): string {
  const countOf = (name: string): number => [...pods.values()].filter((pod) => pod.nodeName === name).length;
  const names = [...nodes.keys()].toSorted((left, right) => countOf(right) - countOf(left) || (left < right ? -1 : 1));
  return names[number % names.length] ?? '';
}

const optionsOf = new WeakMap<Compiler, object>();

function factsOf(state: ClusterState, nodeName: string, isBridged: boolean): NodeFacts {
  const facts = syntheticFacts(state, nodeName);
  if (!isBridged) return facts;
  const bindings = [...facts.bindings].map(([address, binding], index) => {
    const port = binding.kind === 'routed' && index % 4 > 0 ? { port: binding.interface } : {};
    return [address, { kind: 'bridged', bridge: 'cni0', ...port }] as const;
  });
  return { ...facts, bindings: new Map(bindings) };
}

/** Messages go to terminals and logs: one line each, nothing that moves a cursor. */
function checkMessages(diagnostics: readonly Diagnostic[]): void {
  for (const diagnostic of diagnostics) {
    const text = formatDiagnostic(diagnostic);
    if (controls.test(text)) throw new Error(`a message with control characters: ${JSON.stringify(text)}`);
    if (text.length > 4000) throw new Error(`a message of ${text.length} characters: ${text.slice(0, 200)}`);
  }
}

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const controls = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/;
