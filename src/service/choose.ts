/** Which endpoints a service port uses: readiness, terminating fall-back, topology hints, policy Local (kube-proxy.md 1.4, 1.10). */
import type { Endpoint } from '../cluster/objects.ts';
import { compact } from '../lib/compact.ts';
import type { SliceEndpoint } from './endpoints.ts';
import type { EndpointReason, EndpointUse, PlannedEndpoint } from './plan.ts';

export interface ChoiceContext {
  readonly nodeName: string;
  /** The node's `topology.kubernetes.io/zone`. */
  readonly zone?: string;
  /** Policy Cluster applies to some frontend. */
  readonly needsCluster: boolean;
  /** Policy Local applies to some frontend. */
  readonly needsLocal: boolean;
}

export interface Choice {
  readonly endpoints: readonly PlannedEndpoint[];
  readonly cluster: readonly PlannedEndpoint[];
  readonly local: readonly PlannedEndpoint[];
  /** Some endpoint of the cluster can be used, here or elsewhere. */
  readonly hasEndpoints: boolean;
}

export function chooseEndpoints(candidates: readonly SliceEndpoint[], context: ChoiceContext): Choice {
  const clusterUse = context.needsCluster ? clusterUses(candidates, context) : () => unneeded;
  const localUse = context.needsLocal ? localUses(candidates, context) : () => unneeded;
  const endpoints = candidates.map((candidate) => plan(candidate, context, clusterUse(candidate), localUse(candidate)));
  const cluster = endpoints.filter((endpoint) => endpoint.inCluster.used);
  return {
    endpoints,
    // Mostly all of them.
    cluster: cluster.length === endpoints.length ? endpoints : compact(cluster),
    local: compact(endpoints.filter((endpoint) => endpoint.inLocal.used)),
    hasEndpoints: context.needsLocal ? candidates.some(({ endpoint }) => isUsable(endpoint)) : cluster.length > 0,
  };
}

type UseOf = (candidate: SliceEndpoint) => EndpointUse;

function clusterUses(candidates: readonly SliceEndpoint[], context: ChoiceContext): UseOf {
  const ready = candidates.filter(({ endpoint }) => endpoint.ready);
  if (ready.length === 0) return ({ endpoint }) => (isFallback(endpoint) ? serving : unused(whyNotUsable(endpoint)));
  const hints = hintsInForce(ready, context);
  return ({ endpoint }) => {
    if (!endpoint.ready) return unused(whyNotUsable(endpoint));
    if (hints === 'node' && !isHintedToNode(endpoint, context)) return unused('hinted-to-other-node');
    if (hints === 'zone' && !isHintedToZone(endpoint, context)) return unused('hinted-to-other-zone');
    return usedReady;
  };
}

/** Topology never applies to policy Local. */
function localUses(candidates: readonly SliceEndpoint[], context: ChoiceContext): UseOf {
  const anyReady = candidates.some(({ endpoint }) => endpoint.ready && isLocal(endpoint, context));
  return ({ endpoint }) => {
    if (!isLocal(endpoint, context)) return unused('on-other-node');
    if (endpoint.ready) return usedReady;
    return !anyReady && isFallback(endpoint) ? serving : unused(whyNotUsable(endpoint));
  };
}

/** All ready endpoints must carry the hint, and one must name this node or zone: a lone endpoint without hints switches them off. */
function hintsInForce(ready: readonly SliceEndpoint[], context: ChoiceContext): 'node' | 'zone' | 'none' {
  const endpoints = ready.map(({ endpoint }) => endpoint);
  const allNode = endpoints.every((endpoint) => endpoint.hintNodes.length > 0);
  if (allNode && endpoints.some((endpoint) => isHintedToNode(endpoint, context))) return 'node';
  const allZone = endpoints.every((endpoint) => endpoint.hintZones.length > 0);
  return allZone && endpoints.some((endpoint) => isHintedToZone(endpoint, context)) ? 'zone' : 'none';
}

function isHintedToNode(endpoint: Endpoint, context: ChoiceContext): boolean {
  return endpoint.hintNodes.includes(context.nodeName);
}

function isHintedToZone(endpoint: Endpoint, context: ChoiceContext): boolean {
  return context.zone !== undefined && endpoint.hintZones.includes(context.zone);
}

function isLocal(endpoint: Endpoint, context: ChoiceContext): boolean {
  return endpoint.nodeName === context.nodeName;
}

function isFallback(endpoint: Endpoint): boolean {
  return endpoint.serving && endpoint.terminating;
}

function isUsable(endpoint: Endpoint): boolean {
  return endpoint.ready || isFallback(endpoint);
}

function whyNotUsable(endpoint: Endpoint): EndpointReason {
  if (!endpoint.terminating) return 'not-ready';
  return endpoint.serving ? 'terminating' : 'not-serving';
}

function plan(
  candidate: SliceEndpoint,
  context: ChoiceContext,
  inCluster: EndpointUse,
  inLocal: EndpointUse,
): PlannedEndpoint {
  const { address, port, endpoint } = candidate;
  return {
    address,
    port,
    local: isLocal(endpoint, context),
    ready: endpoint.ready,
    serving: endpoint.serving,
    terminating: endpoint.terminating,
    ...(endpoint.nodeName === undefined ? {} : { nodeName: endpoint.nodeName }),
    ...(endpoint.zone === undefined ? {} : { zone: endpoint.zone }),
    ...(endpoint.pod === undefined ? {} : { pod: endpoint.pod }),
    inCluster,
    inLocal,
  };
}

/** Shared objects: there are tens of thousands of endpoints and nine reasons. */
const usedReady: EndpointUse = { used: true, why: 'ready' };
const serving: EndpointUse = { used: true, why: 'serving-while-terminating' };
const unneeded: EndpointUse = { used: false, why: 'list-not-needed' };
const unusedReasons = new Map<EndpointReason, EndpointUse>(
  (
    [
      'not-ready',
      'not-serving',
      'terminating',
      'hinted-to-other-node',
      'hinted-to-other-zone',
      'on-other-node',
    ] as const
  ).map((why) => [why, { used: false, why }]),
);

function unused(why: EndpointReason): EndpointUse {
  return unusedReasons.get(why) ?? { used: false, why };
}
