/** The chains of one service port: KUBE-SVC, -SVL, -EXT, -FW and -SEP (kube-proxy.md 1.6-1.9). */
import type { ChainName } from '../dataplane/names.ts';
import type { Chain, Origin, Rule } from '../dataplane/rule.ts';
import { compact } from '../lib/compact.ts';
import { joinHostPort } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import { balance, type Balancing, balanceListLimit, type Choice, choiceText } from './balance.ts';
import { isFromLocalPod, isNotFromLocalPod } from './detector.ts';
import { EndpointChain, type EndpointText, endpointTextOf } from './endpoint-chain.ts';
import { LazyChain } from './lazy-chain.ts';
import { portChain, type PortChainKind, servicePortHash } from './names.ts';
import type { ServiceOptions } from './options.ts';
import type { PlannedPort } from './plan.ts';
import {
  addressIs,
  cidrIs,
  frontendIs,
  jump,
  jumpToMarkMasquerade,
  makeRule,
  originOf,
  sourceIsLocal,
} from './rules.ts';

/** All in table nat. */
export interface PortChains {
  readonly port: PlannedPort;
  readonly chains: readonly Chain[];
  readonly endpointText: EndpointText;
}

export interface PortRendering {
  /** The Service, for people. */
  readonly object: string;
  readonly options: ServiceOptions;
  /** Whether rules about single endpoints carry a comment. */
  readonly hasComments: boolean;
}

/** `before` saves work: endpoint chains that stay the same are taken from it. */
export function renderPort(port: PlannedPort, rendering: PortRendering, before?: PortChains): PortChains {
  const scope = { ...rendering, port, hash: servicePortHash(port.servicePortName, port.protocol) };
  const text = endpointTextOf(port, rendering.object, rendering.hasComments);
  // The same text as before is the same object, so that an endpoint's chain is known by one comparison.
  const endpointText = before !== undefined && sameValue(before.endpointText, text) ? before.endpointText : text;
  const endpointChains = renderEndpoints(port, endpointText, before?.chains ?? []);
  const chains: Chain[] = [];
  if (port.clusterEndpoints.length > 0) chains.push(...balancingChains(scope, 'SVC', endpointChains));
  if (port.localEndpoints.length > 0) chains.push(...balancingChains(scope, 'SVL', endpointChains));
  if (hasExternalChain(port)) chains.push(externalChain(scope));
  if (hasFirewallChain(port)) chains.push(firewallChain(scope));
  chains.push(...endpointChains.values());
  return { port, chains: compact(chains), endpointText };
}

/** There even without a local endpoint: policy Local serves the node and its pods through it all the same. */
export function hasExternalChain(port: PlannedPort): boolean {
  return port.externallyAccessible && port.external !== 'reject';
}

export function hasFirewallChain(port: PlannedPort): boolean {
  return hasExternalChain(port) && port.loadBalancerIps.length > 0 && port.sourceRanges.length > 0;
}

export function chainOfPort(kind: PortChainKind, port: PlannedPort): ChainName {
  return portChain(kind, servicePortHash(port.servicePortName, port.protocol));
}

/** Where packets to the ClusterIP go. */
export function internalChain(port: PlannedPort): ChainName {
  return chainOfPort(port.internalPolicy === 'Local' ? 'SVL' : 'SVC', port);
}

/** What the chains of a port are made from, the endpoints aside. */
interface Scope extends PortRendering {
  readonly port: PlannedPort;
  readonly hash: string;
}

function noteOf({ port, object }: Scope, text: string): Origin {
  return originOf(port, object, text);
}

interface BalancingSource {
  readonly scope: Scope;
  /** Packets to the ClusterIP come here. */
  readonly isInternal: boolean;
  readonly endpoints: readonly EndpointChain[];
}

function balancingChains(
  scope: Scope,
  kind: 'SVC' | 'SVL',
  endpointChains: ReadonlyMap<string, EndpointChain>,
): readonly Chain[] {
  const { port } = scope;
  const name = portChain(kind, scope.hash);
  const planned = kind === 'SVC' ? port.clusterEndpoints : port.localEndpoints;
  const endpoints = compact(
    planned.flatMap(({ address, port: number }) => endpointChains.get(joinHostPort(address, number)) ?? []),
  );
  const source = { scope, endpoints, isInternal: (port.internalPolicy === 'Local') === (kind === 'SVL') };
  if (endpoints.length <= balanceListLimit) {
    return [new LazyChain(name, source, balancingRules)];
  }
  const { rules, chains } = balancing(source, name);
  return [{ name, style: 'kube', rules }, ...chains];
}

/** Not a function made for each chain: that would keep all that it was made among. */
function balancingRules(source: BalancingSource, name: ChainName): readonly Rule[] {
  return balancing(source, name).rules;
}

function balancing({ scope, endpoints, isInternal }: BalancingSource, name: ChainName): Balancing {
  const { servicePortName } = scope.port;
  const { hasComments } = scope;
  const choices = endpoints.map(
    ({ name: chain, key }): Choice => (hasComments ? { chain, comment: `${servicePortName} -> ${key}` } : { chain }),
  );
  const text = {
    ...(hasComments ? { comment: `${servicePortName} endpoints` } : {}),
    origin: noteOf(scope, 'chooses an endpoint'),
  };
  const { rules, chains } = balance(name, choices, text);
  return {
    rules: [...(isInternal ? masqueradeToClusterIp(scope) : []), ...affinityRules(scope, choices), ...rules],
    chains,
  };
}

function masqueradeToClusterIp(scope: Scope): readonly Rule[] {
  const { port, options } = scope;
  if (port.masqueradeInternal === 'nobody') return [];
  const frontend = frontendIs(port.protocol, port.clusterIp, port.port);
  const notLocal = isNotFromLocalPod(options.detector, port.family);
  const matches =
    port.masqueradeInternal === 'everybody' || notLocal === undefined ? frontend : [...frontend, notLocal];
  const origin = noteOf(scope, 'hides the client, so that the answer comes back through this node');
  return [makeRule({ comment: `${port.servicePortName} cluster IP`, origin }, matches, jumpToMarkMasquerade)];
}

function affinityRules(scope: Scope, choices: readonly Choice[]): readonly Rule[] {
  const seconds = scope.port.affinitySeconds;
  if (seconds === undefined) return [];
  const origin = noteOf(scope, 'session affinity: the client was sent to this endpoint before');
  return choices.map((choice) => {
    const { chain } = choice;
    return makeRule(choiceText(choice, origin), [{ kind: 'recent-check', list: chain, seconds }], jump(chain));
  });
}

function externalChain(scope: Scope): Chain {
  const rules = scope.port.externalPolicy === 'Local' ? externalLocalRules(scope) : externalClusterRules(scope);
  return { name: portChain('EXT', scope.hash), style: 'kube', rules };
}

function externalClusterRules(scope: Scope): readonly Rule[] {
  const masquerade = {
    comment: `masquerade traffic for ${scope.port.servicePortName} external destinations`,
    origin: noteOf(scope, 'hides the client: the endpoint may be on another node'),
  };
  const all = { origin: noteOf(scope, 'externalTrafficPolicy Cluster: all endpoints') };
  return [makeRule(masquerade, [], jumpToMarkMasquerade), makeRule(all, [], jump(portChain('SVC', scope.hash)))];
}

function externalLocalRules(scope: Scope): readonly Rule[] {
  const { port, options, hash } = scope;
  const name = port.servicePortName;
  const all = jump(portChain('SVC', hash));
  const rules: Rule[] = [];
  const localPod = isFromLocalPod(options.detector, port.family);
  if (localPod !== undefined) {
    const text = {
      comment: `pod traffic for ${name} external destinations`,
      origin: noteOf(scope, 'externalTrafficPolicy Local: a pod reaches all endpoints, as it would at the ClusterIP'),
    };
    rules.push(makeRule(text, [localPod], all));
  }
  const masquerade = {
    comment: `masquerade LOCAL traffic for ${name} external destinations`,
    origin: noteOf(scope, 'externalTrafficPolicy Local: the node itself is hidden behind the address it sends from'),
  };
  const route = {
    comment: `route LOCAL traffic for ${name} external destinations`,
    origin: noteOf(scope, 'externalTrafficPolicy Local: the node itself reaches all endpoints'),
  };
  rules.push(makeRule(masquerade, [sourceIsLocal], jumpToMarkMasquerade), makeRule(route, [sourceIsLocal], all));
  if (port.external === 'serve') {
    const origin = noteOf(scope, 'externalTrafficPolicy Local: the endpoints of this node, client address kept');
    rules.push(makeRule({ origin }, [], jump(portChain('SVL', hash))));
  }
  return rules;
}

/** What no rule lets through stays without DNAT and meets KUBE-PROXY-FIREWALL. */
function firewallChain(scope: Scope): Chain {
  const { port, hash } = scope;
  const comment = `${port.servicePortName} loadbalancer IP`;
  const external = jump(portChain('EXT', hash));
  const allowed = { comment, origin: noteOf(scope, 'a client in loadBalancerSourceRanges') };
  const looped = {
    comment,
    origin: noteOf(scope, 'the node is in loadBalancerSourceRanges and sends with this source'),
  };
  const rules = port.sourceRanges.map((cidr) => makeRule(allowed, [cidrIs('source', cidr)], external));
  if (port.nodeInSourceRanges) {
    rules.push(...port.loadBalancerIps.map((ip) => makeRule(looped, [addressIs('source', ip)], external)));
  }
  const other = {
    comment: `other traffic to ${port.servicePortName} will be dropped by KUBE-PROXY-FIREWALL`,
    origin: noteOf(scope, 'a client outside loadBalancerSourceRanges'),
  };
  rules.push(makeRule(other, [], { kind: 'none' }));
  return { name: portChain('FW', hash), style: 'kube', rules };
}

/** In order of `address:port`; an endpoint of both lists has one chain. */
function renderEndpoints(
  port: PlannedPort,
  text: EndpointText,
  before: readonly Chain[],
): ReadonlyMap<string, EndpointChain> {
  const known = new Map(before.filter((chain) => chain instanceof EndpointChain).map((chain) => [chain.key, chain]));
  const chains = new Map<string, EndpointChain>();
  for (const endpoint of port.endpoints) {
    if (!endpoint.inCluster.used && !endpoint.inLocal.used) continue;
    const key = joinHostPort(endpoint.address, endpoint.port);
    const old = known.get(key);
    chains.set(key, old?.text === text ? old : new EndpointChain(text, endpoint.address, endpoint.port));
  }
  return chains;
}
