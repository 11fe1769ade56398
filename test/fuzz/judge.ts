/** One case through everything that is pure: read, fill, compile, render. Throws what is found. */
import { isDeepStrictEqual } from 'node:util';
import { compileOptions } from '../../src/agent/compile-options.ts';
import { lintCluster } from '../../src/cluster/lint.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { ClusterState, ObjectChange } from '../../src/cluster/state.ts';
import { compileAll, Compiler } from '../../src/compile/compiler.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { ipFamilies } from '../../src/dataplane/dataplane.ts';
import { ClusterDiff } from '../../src/manifests/cluster-diff.ts';
import type { Config } from '../../src/config/schema.ts';
import type { ClusterDefaults } from '../../src/manifests/defaults.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { ClusterFiller } from '../../src/manifests/fill.ts';
import { mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import { configOf, type FuzzCase } from './fuzz-case.ts';
import { checkRestoreText, checkSetText } from './restore-grammar.ts';
import type { WatchBodies } from './watch-streams.ts';
import { followBodies } from './watch-streams.ts';

/** CPU time that the pure part may take for one case, in milliseconds: what takes longer hangs somebody's agent. */
const deadlineMs = 5000;

/** The dataplane after each text of the case (after its watch streams), by an agent that lives through them. */
export async function judge(one: FuzzCase): Promise<readonly Dataplane[]> {
  const started = process.cpuUsage();
  const life = new Life(one);
  const dataplanes: Dataplane[] = [];
  if (one.bodies === undefined) for (const text of one.texts) dataplanes.push(life.readText(text));
  else dataplanes.push(await life.follow(one.bodies));
  const { user, system } = process.cpuUsage(started);
  const spentMs = (user + system) / 1000;
  if (spentMs > deadlineMs) throw new Error(`took ${Math.round(spentMs)} ms of CPU, expected at most ${deadlineMs}`);
  return dataplanes;
}

class Life {
  readonly #case: FuzzCase;
  readonly #config: Config;
  readonly #defaults: ClusterDefaults;
  readonly #filler: ClusterFiller;
  readonly #diff = new ClusterDiff();
  readonly #store = new ClusterStore();
  #compiler: Compiler | undefined;
  #options: CompileOptions | undefined;
  #nodeName = '';

  constructor(one: FuzzCase) {
    this.#case = one;
    this.#config = configOf(one);
    this.#defaults = clusterDefaults({ ipFamilies: this.#config.ipFamilies, nodeCount: 2 });
    this.#filler = new ClusterFiller(this.#defaults);
  }

  readText(text: string): Dataplane {
    const merged = mergeFiles(new Map([['a.yaml', parseManifest(text, 'a.yaml')]]));
    const filled = this.#filler.fill(merged.objects);
    checkMessages([...merged.diagnostics, ...filled.diagnostics]);
    return this.#compile(this.#store.apply(this.#diff.changesTo(filled.objects)));
  }

  async follow(bodies: WatchBodies): Promise<Dataplane> {
    const { changes, diagnostics } = await followBodies(bodies, 'n1');
    checkMessages(diagnostics);
    return this.#compile(this.#store.apply(changes));
  }

  #compile(changes: readonly ObjectChange[]): Dataplane {
    const store = this.#store;
    if (!store.nodes.has(this.#nodeName)) {
      this.#compiler = undefined;
      this.#nodeName = chooseNode(store, this.#case.node);
    }
    const facts = factsOf(store, this.#nodeName, this.#case.isBridged);
    const options = compileOptions(this.#config, this.#nodeName, store, facts);
    // Some settings follow the cluster: then an agent compiles anew.
    if (!isDeepStrictEqual(this.#options, options)) this.#compiler = undefined;
    this.#options = options;
    this.#compiler ??= new Compiler(store, options);
    const { diagnostics } = this.#compiler.apply(changes, facts);
    const { podCidr, serviceCidr } = this.#defaults;
    const lint = lintCluster(store, { podCidrs: [podCidr.ipv4], serviceCidrs: [serviceCidr.ipv4] });
    checkMessages([...diagnostics, ...lint]);
    const scratch = compileAll(store, options, facts).dataplane;
    checkTexts(this.#compiler.dataplane, scratch);
    return scratch;
  }
}

function checkTexts(incremental: Dataplane, scratch: Dataplane): void {
  for (const family of ipFamilies) {
    if (iptablesRestoreText(incremental, family) !== iptablesRestoreText(scratch, family)) {
      throw new Error(`the incremental ${family} rules are not those from scratch`);
    }
    checkRestoreText(scratch, family);
  }
  if (ipSetRestoreText(incremental) !== ipSetRestoreText(scratch)) {
    throw new Error('the incremental sets are not those from scratch');
  }
  checkSetText(scratch);
}

/** Number 0 is the one with most pods. */
function chooseNode({ nodes, pods }: ClusterState, number: number): string {
  const countOf = (name: string): number => [...pods.values()].filter((pod) => pod.nodeName === name).length;
  const names = [...nodes.keys()].toSorted((left, right) => countOf(right) - countOf(left) || (left < right ? -1 : 1));
  return names[number % names.length] ?? '';
}

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
