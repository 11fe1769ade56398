/** Nodes compiled as their own agents would, from the cluster's objects alone or from what the agents know. */
import type { ClusterState } from '../cluster/state.ts';
import { compileAll } from '../compile/compiler.ts';
import type { CompileOptions } from '../compile/options.ts';
import { syntheticFacts } from '../compile/synthetic-facts.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { Cidr } from '../lib/ip.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import type { ServiceOptions } from '../service/options.ts';
import type { ServicePlan } from '../service/plan.ts';
import { ServiceStage } from '../service/stage.ts';
import { ClusterModel, type CompiledNode } from './cluster-model.ts';

export interface ModelSource {
  readonly state: ClusterState;
  /** What each node's agent is configured with. */
  readonly optionsOf: (nodeName: string, facts: NodeFacts) => CompileOptions;
  /** By node name; a node without facts is taken to route every pod through the veth that Calico would give it. */
  readonly facts?: ReadonlyMap<string, NodeFacts>;
  /** Of nodes without facts: they have the first address of their pod networks. */
  readonly hasPodGateways?: boolean;
  /** Where ClusterIPs come from, if no ServiceCIDR says it. */
  readonly serviceCidrs?: readonly Cidr[];
}

/**
 * The model of a whole cluster. Where Services are somebody else's (no `services` in the options), they are traced
 * through the chains that kube-proxy would have: the same names, the same endpoints.
 */
export function modelOf(source: ModelSource): ClusterModel {
  const { state, optionsOf, serviceCidrs = [] } = source;
  const compileNode = (name: string): CompiledNode => {
    const own = factsOf(source, name);
    const options = optionsOf(name, own);
    const services = options.services ?? likeKubeProxy(name, own);
    const { dataplane, policyPlan, servicePlan } = compileAll(state, { ...options, services }, own);
    return { dataplane, policyPlan, facts: own, ...(servicePlan === undefined ? {} : { servicePlan }) };
  };
  return new ClusterModel({ state, compileNode, serviceCidrs });
}

/** What a node does with every Service, and what is wrong with them. */
export function servicePlanOf(source: ModelSource, nodeName: string): DiagnosedPlan {
  const { state, optionsOf } = source;
  const own = factsOf(source, nodeName);
  const options = optionsOf(nodeName, own);
  const services = options.services ?? likeKubeProxy(nodeName, own);
  const stage = new ServiceStage(state, services, options.ipFamilies);
  const { diagnostics } = stage.apply([]);
  return { plan: stage.plan, diagnostics, nodePorts: services };
}

export interface DiagnosedPlan {
  readonly plan: ServicePlan;
  readonly diagnostics: readonly Diagnostic[];
  /** Where nodePorts answer. */
  readonly nodePorts: NodePortOptions;
}

function factsOf({ state, facts, hasPodGateways = false }: ModelSource, nodeName: string): NodeFacts {
  return facts?.get(nodeName) ?? syntheticFacts(state, nodeName, { hasPodGateways });
}

function likeKubeProxy(nodeName: string, facts: NodeFacts): ServiceOptions {
  return {
    nodeName,
    detector: { kind: 'localPods' },
    masqueradeAll: false,
    nodePortAddresses: [],
    localhostNodePorts: true,
    nodeAddresses: facts.nodeAddresses,
    conntrackLiberal: facts.conntrackLiberal,
  };
}
