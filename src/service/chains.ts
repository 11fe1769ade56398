/** The chains of one service port: KUBE-SVC, -SVL, -EXT, -FW and -SEP (kube-proxy.md 1.6-1.9). */
import { type ChainName, chainName } from '../dataplane/names.ts';
import type { Action, Chain, Match, Origin, Rule } from '../dataplane/rule.ts';
import { joinHostPort } from '../lib/ip.ts';
import { balance, type Choice } from './balance.ts';
import { isFromLocalPod, isNotFromLocalPod } from './detector.ts';
import { endpointChain, portChain, type PortChainKind, servicePortHash } from './names.ts';
import type { ServiceOptions } from './options.ts';
import type { PlannedEndpoint, PlannedPort } from './plan.ts';
import { addressIs, cidrIs, frontendIs, jump, makeRule, protocolIs, sourceIsLocal } from './rules.ts';

/** All in table nat. */
export interface PortChains {
  readonly port: PlannedPort;
  readonly chains: readonly Chain[];
  /** `address:port` to its KUBE-SEP chain. */
  readonly endpointChains: ReadonlyMap<string, Chain>;
}

/** Jump here to have the packet masqueraded on its way out. */
export const jumpToMarkMasquerade: Action = jump(chainName('KUBE-MARK-MASQ'));

/** `before` saves work: endpoint chains that stay the same are taken from it. */
export function renderPort(
  port: PlannedPort,
  serviceObject: string,
  options: ServiceOptions,
  before?: PortChains,
): PortChains {
  const scope = scopeOf(port, serviceObject, options);
  const endpointChains = renderEndpoints(scope, before);
  const chains: Chain[] = [];
  if (port.clusterEndpoints.length > 0) chains.push(...balancingChains(scope, 'SVC', endpointChains));
  if (port.localEndpoints.length > 0) chains.push(...balancingChains(scope, 'SVL', endpointChains));
  if (hasExternalChain(port)) chains.push(externalChain(scope));
  if (hasFirewallChain(port)) chains.push(firewallChain(scope));
  chains.push(...endpointChains.values());
  return { port, chains, endpointChains };
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

export function originOf(port: PlannedPort, serviceObject: string, note: string): Origin {
  return { object: serviceObject, path: port.path, note };
}

interface Scope {
  readonly port: PlannedPort;
  readonly options: ServiceOptions;
  readonly hash: string;
  readonly origin: (note: string) => Origin;
}

function scopeOf(port: PlannedPort, serviceObject: string, options: ServiceOptions): Scope {
  return {
    port,
    options,
    hash: servicePortHash(port.servicePortName, port.protocol),
    origin: (note) => originOf(port, serviceObject, note),
  };
}

function balancingChains(
  scope: Scope,
  kind: 'SVC' | 'SVL',
  endpointChains: ReadonlyMap<string, Chain>,
): readonly Chain[] {
  const { port } = scope;
  const name = portChain(kind, scope.hash);
  const isInternal = (port.internalPolicy === 'Local') === (kind === 'SVL');
  const endpoints = kind === 'SVC' ? port.clusterEndpoints : port.localEndpoints;
  const choices = endpoints.flatMap((endpoint): Choice[] => {
    const key = joinHostPort(endpoint.address, endpoint.port);
    const chain = endpointChains.get(key);
    return chain === undefined ? [] : [{ chain: chain.name, comment: `${port.servicePortName} -> ${key}` }];
  });
  const text = { comment: `${port.servicePortName} endpoints`, origin: scope.origin('chooses an endpoint') };
  const { rules, chains } = balance(name, choices, text);
  const own = [...(isInternal ? masqueradeToClusterIp(scope) : []), ...affinityRules(scope, choices), ...rules];
  return [{ name, style: 'kube', rules: own }, ...chains];
}

function masqueradeToClusterIp({ port, options, origin }: Scope): readonly Rule[] {
  if (port.masqueradeInternal === 'nobody') return [];
  const frontend = frontendIs(port.protocol, port.clusterIp, port.port);
  const notLocal = isNotFromLocalPod(options.detector, port.family);
  const matches =
    port.masqueradeInternal === 'everybody' || notLocal === undefined ? frontend : [...frontend, notLocal];
  const note = 'hides the client, so that the answer comes back through this node';
  return [
    makeRule({ comment: `${port.servicePortName} cluster IP`, origin: origin(note) }, matches, jumpToMarkMasquerade),
  ];
}

function affinityRules({ port, origin }: Scope, choices: readonly Choice[]): readonly Rule[] {
  const seconds = port.affinitySeconds;
  if (seconds === undefined) return [];
  const remembered = origin('session affinity: the client was sent to this endpoint before');
  return choices.map(({ chain, comment }) =>
    makeRule({ comment, origin: remembered }, [{ kind: 'recent-check', list: chain, seconds }], jump(chain)),
  );
}

function externalChain(scope: Scope): Chain {
  const rules = scope.port.externalPolicy === 'Local' ? externalLocalRules(scope) : externalClusterRules(scope);
  return { name: portChain('EXT', scope.hash), style: 'kube', rules };
}

function externalClusterRules({ port, hash, origin }: Scope): readonly Rule[] {
  const comment = `masquerade traffic for ${port.servicePortName} external destinations`;
  const note = 'hides the client: the endpoint may be on another node';
  return [
    makeRule({ comment, origin: origin(note) }, [], jumpToMarkMasquerade),
    makeRule({ origin: origin('externalTrafficPolicy Cluster: all endpoints') }, [], jump(portChain('SVC', hash))),
  ];
}

function externalLocalRules({ port, options, hash, origin }: Scope): readonly Rule[] {
  const name = port.servicePortName;
  const all = jump(portChain('SVC', hash));
  const rules: Rule[] = [];
  const localPod = isFromLocalPod(options.detector, port.family);
  if (localPod !== undefined) {
    const text = {
      comment: `pod traffic for ${name} external destinations`,
      origin: origin('externalTrafficPolicy Local: a pod reaches all endpoints, as it would at the ClusterIP'),
    };
    rules.push(makeRule(text, [localPod], all));
  }
  const masquerade = {
    comment: `masquerade LOCAL traffic for ${name} external destinations`,
    origin: origin('externalTrafficPolicy Local: the node itself is hidden behind the address it sends from'),
  };
  const route = {
    comment: `route LOCAL traffic for ${name} external destinations`,
    origin: origin('externalTrafficPolicy Local: the node itself reaches all endpoints'),
  };
  rules.push(makeRule(masquerade, [sourceIsLocal], jumpToMarkMasquerade), makeRule(route, [sourceIsLocal], all));
  if (port.external === 'serve') {
    const note = 'externalTrafficPolicy Local: the endpoints of this node, client address kept';
    rules.push(makeRule({ origin: origin(note) }, [], jump(portChain('SVL', hash))));
  }
  return rules;
}

/** What no rule lets through stays without DNAT and meets KUBE-PROXY-FIREWALL. */
function firewallChain({ port, hash, origin }: Scope): Chain {
  const comment = `${port.servicePortName} loadbalancer IP`;
  const external = jump(portChain('EXT', hash));
  const allowed = { comment, origin: origin('a client in loadBalancerSourceRanges') };
  const looped = { comment, origin: origin('the node is in loadBalancerSourceRanges and sends with this source') };
  const rules = port.sourceRanges.map((cidr) => makeRule(allowed, [cidrIs('source', cidr)], external));
  if (port.nodeInSourceRanges) {
    rules.push(...port.loadBalancerIps.map((ip) => makeRule(looped, [addressIs('source', ip)], external)));
  }
  const other = {
    comment: `other traffic to ${port.servicePortName} will be dropped by KUBE-PROXY-FIREWALL`,
    origin: origin('a client outside loadBalancerSourceRanges'),
  };
  rules.push(makeRule(other, [], { kind: 'none' }));
  return { name: portChain('FW', hash), style: 'kube', rules };
}

/** In order of `address:port`; an endpoint of both lists has one chain. */
function renderEndpoints(scope: Scope, before: PortChains | undefined): ReadonlyMap<string, Chain> {
  const { port } = scope;
  const known = before !== undefined && hasSameEndpointText(before.port, port) ? before.endpointChains : undefined;
  const text: EndpointText = {
    hairpin: { comment: port.servicePortName, origin: scope.origin('hides an endpoint that reaches itself') },
    dnat: { comment: port.servicePortName, origin: scope.origin('an endpoint of the Service') },
  };
  const chains = new Map<string, Chain>();
  for (const endpoint of port.endpoints) {
    if (!endpoint.inCluster.used && !endpoint.inLocal.used) continue;
    const key = joinHostPort(endpoint.address, endpoint.port);
    chains.set(key, known?.get(key) ?? endpointChainOf(port, endpoint, text));
  }
  return chains;
}

interface EndpointText {
  readonly hairpin: { readonly comment: string; readonly origin: Origin };
  readonly dnat: { readonly comment: string; readonly origin: Origin };
}

function endpointChainOf(port: PlannedPort, endpoint: PlannedEndpoint, text: EndpointText): Chain {
  const { address } = endpoint;
  const name = endpointChain(port.servicePortName, port.protocol, joinHostPort(address, endpoint.port));
  const protocol = protocolIs(port.protocol);
  const matches: readonly Match[] =
    port.affinitySeconds === undefined ? [protocol] : [{ kind: 'recent-set', list: name }, protocol];
  return {
    name,
    style: 'kube',
    rules: [
      makeRule(text.hairpin, [addressIs('source', address)], jumpToMarkMasquerade),
      makeRule(text.dnat, matches, { kind: 'dnat', address, port: endpoint.port }),
    ],
  };
}

/** What an endpoint's chain is made from, besides the endpoint. */
function hasSameEndpointText(one: PlannedPort, other: PlannedPort): boolean {
  return (
    one.servicePortName === other.servicePortName &&
    one.protocol === other.protocol &&
    one.path === other.path &&
    (one.affinitySeconds === undefined) === (other.affinitySeconds === undefined)
  );
}
