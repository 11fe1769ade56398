/** Cluster state in, one node's dataplane out: joins policies, Services and the base chains, and renders again only what a change touches. */
import type { ClusterObject } from '../cluster/objects.ts';
import { keyOf } from '../cluster/objects.ts';
import type { ClusterState, ObjectChange } from '../cluster/state.ts';
import { type Dataplane, type DataplaneDelta, DataplaneStore } from '../dataplane/dataplane.ts';
import { DeltaBuilder } from '../dataplane/delta-builder.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { PolicyDecider } from '../policy/decide.ts';
import type { PolicyPlan, PolicyPlanDelta } from '../policy/plan.ts';
import type { ServiceOptions } from '../service/options.ts';
import type { ServicePlan } from '../service/plan.ts';
import type { ServiceStageResult } from '../service/stage.ts';
import { ServiceStage } from '../service/stage.ts';
import { BaseStage } from './base-stage.ts';
import { baseHooks } from './base/base-chains.ts';
import { bindEndpoints, type BoundEndpoint, type BoundEndpoints } from './bound-endpoint.ts';
import { EndpointStage } from './endpoint-stage.ts';
import type { CompileOptions } from './options.ts';
import { PolicyStage } from './policy-stage.ts';

export interface CompileResult {
  readonly delta: DataplaneDelta;
  /** All that are there now, not only the new ones. */
  readonly diagnostics: readonly Diagnostic[];
  /** Keys of the Services that were decided again, or are gone. */
  readonly services: ReadonlySet<string>;
}

export interface Compilation {
  readonly dataplane: Dataplane;
  readonly diagnostics: readonly Diagnostic[];
  readonly policyPlan: PolicyPlan;
  /** Absent: Services are somebody else's. */
  readonly servicePlan?: ServicePlan;
  readonly endpoints: ReadonlyMap<string, BoundEndpoint>;
}

/** Of a node that knows nothing of itself yet: no pod is programmed. */
const noFacts: NodeFacts = { bindings: new Map(), nodeAddresses: [], conntrackLiberal: false };

const noServices: ReadonlySet<string> = new Set();

/** From scratch: what the incremental way must arrive at too. */
export function compileAll(state: ClusterState, options: CompileOptions, facts: NodeFacts): Compilation {
  const compiler = new Compiler(state, options);
  const { diagnostics } = compiler.apply([], facts);
  const { dataplane, policyPlan, servicePlan, endpoints } = compiler;
  return { dataplane, diagnostics, policyPlan, endpoints, ...(servicePlan === undefined ? {} : { servicePlan }) };
}

export class Compiler {
  readonly #state: ClusterState;
  readonly #options: CompileOptions;
  readonly #store = new DataplaneStore();
  readonly #decider: PolicyDecider;
  readonly #services: ServiceStage | undefined;
  readonly #policies: PolicyStage;
  readonly #endpointStage: EndpointStage;
  readonly #base: BaseStage;
  #serviceOptions: ServiceOptions | undefined;
  #facts: NodeFacts = noFacts;
  #bound: BoundEndpoints = { endpoints: new Map(), diagnostics: [] };
  #isFirst = true;

  constructor(state: ClusterState, options: CompileOptions) {
    const { ipFamilies, nodeName, services } = options;
    this.#state = state;
    this.#options = options;
    this.#serviceOptions = services;
    this.#decider = new PolicyDecider(state, { nodeName, ipFamilies });
    this.#services = services === undefined ? undefined : new ServiceStage(state, services, ipFamilies);
    this.#policies = new PolicyStage(ipFamilies);
    this.#endpointStage = new EndpointStage(options);
    this.#base = new BaseStage(options);
  }

  /** Live: the dataplane as of the last `apply`. */
  get dataplane(): Dataplane {
    return this.#store;
  }

  get policyPlan(): PolicyPlan {
    return this.#decider.plan;
  }

  /** Absent: Services are somebody else's. */
  get servicePlan(): ServicePlan | undefined {
    return this.#services?.plan;
  }

  /** The pods that are programmed, by key. */
  get endpoints(): ReadonlyMap<string, BoundEndpoint> {
    return this.#bound.endpoints;
  }

  /**
   * `changes` are in the state already; the first call takes all that the state holds. `facts` and `services` absent: unchanged.
   * Of the options only what Services are served by may change: it depends on what the node has come to know of itself.
   */
  apply(
    changes: readonly ObjectChange[],
    facts: NodeFacts = this.#facts,
    services: ServiceOptions | undefined = this.#serviceOptions,
  ): CompileResult {
    const seen = this.#isFirst ? everything(this.#state) : changes;
    this.#isFirst = false;
    const plan = this.#decider.apply(seen);
    const builder = new DeltaBuilder(this.#store);
    this.#bindAgain(plan, facts);
    for (const change of plan.ipSets) builder.changeSet(change);
    this.#policies.apply(plan, builder);
    this.#endpointStage.apply(this.#bound.endpoints, facts.conntrackLiberal, builder);
    const node = this.#state.nodes.get(this.#options.nodeName);
    this.#base.apply({ bound: this.#bound.endpoints, planned: this.#decider.plan.endpoints, node }, builder);
    const served = this.#serve(seen, services, builder);
    this.#putHooks(builder);
    const delta = builder.finish();
    this.#store.apply(delta);
    return {
      delta,
      diagnostics: [...this.#diagnostics(), ...served.diagnostics],
      services: served.touched,
    };
  }

  #serve(
    changes: readonly ObjectChange[],
    options: ServiceOptions | undefined,
    builder: DeltaBuilder,
  ): Pick<ServiceStageResult, 'touched' | 'diagnostics'> {
    this.#serviceOptions = options;
    if (this.#services === undefined) return { touched: noServices, diagnostics: [] };
    const { chains, ...served } = this.#services.apply(changes, options);
    for (const change of chains) builder.changeChain(change);
    return served;
  }

  #bindAgain(plan: PolicyPlanDelta, facts: NodeFacts): void {
    if (plan.endpoints.size === 0 && facts === this.#facts) return;
    this.#facts = facts;
    const { endpoints } = this.#bound;
    this.#bound = bindEndpoints(this.#decider.plan.endpoints, facts, this.#options.ipFamilies, endpoints);
  }

  /** Policy's above Services': KUBE-FORWARD accepts what is marked for masquerade. */
  #putHooks(builder: DeltaBuilder): void {
    for (const family of this.#options.ipFamilies) {
      builder.putHooks(family, [...baseHooks(this.#options), ...(this.#services?.hooks(family) ?? [])]);
    }
  }

  #diagnostics(): readonly Diagnostic[] {
    return [...this.#bound.diagnostics, ...this.#policies.diagnostics, ...this.#endpointStage.diagnostics];
  }
}

function everything(state: ClusterState): readonly ObjectChange[] {
  const objects: ClusterObject[] = [
    ...state.namespaces.values(),
    ...state.nodes.values(),
    ...state.pods.values(),
    ...state.networkPolicies.values(),
    ...state.services.values(),
    ...state.endpointSlices.values(),
    ...state.serviceCidrs.values(),
  ];
  return objects.map((object) => ({ kind: object.kind, key: keyOf(object), after: object }));
}
