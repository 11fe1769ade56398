/** The rules that bring a frontend's packets to a service port's chains, or refuse them (kube-proxy.md 1.5). */
import type { Protocol } from '../cluster/objects.ts';
import type { Action, Match, Rule } from '../dataplane/rule.ts';
import { compact, flat } from '../lib/compact.ts';
import type { IpAddress } from '../lib/ip.ts';
import { addressFrontend, nodePortFrontend } from './claims.ts';
import { chainOfPort, hasExternalChain, hasFirewallChain, internalChain } from './chains.ts';
import { addressKey, portKeyOf } from './dispatch.ts';
import type { Entry } from './dispatch-tree.ts';
import type { PlannedPort, Reach } from './plan.ts';
import { destinationIsLocal, destinationPort, frontendIs, jump, makeRule, originOf, protocolIs } from './rules.ts';

/** The lists that make up the dispatch chains. */
export type SectionName =
  /** nat KUBE-SERVICES */
  | 'services'
  /** nat KUBE-NODEPORTS */
  | 'nodePorts'
  /** filter KUBE-SERVICES */
  | 'refused'
  /** filter KUBE-EXTERNAL-SERVICES, by address and by nodePort */
  | 'externalRefused'
  | 'nodePortsRefused'
  /** filter KUBE-NODEPORTS */
  | 'healthChecks'
  /** filter KUBE-PROXY-FIREWALL */
  | 'firewall';

export interface SectionEntry extends Entry<Rule> {
  readonly section: SectionName;
}

/** In kube-proxy's order. */
export function frontendRules(port: PlannedPort, serviceObject: string): readonly SectionEntry[] {
  const scope: Scope = { port, serviceObject, entries: [] };
  if (hasAddress(port, port.clusterIp)) clusterIpRules(scope);
  for (const address of port.externalIps) if (hasAddress(port, address)) externalIpRules(scope, address);
  for (const address of port.loadBalancerIps) if (hasAddress(port, address)) loadBalancerRules(scope, address);
  if (hasNodePort(port, port.protocol, port.nodePort)) nodePortRules(scope);
  if (hasNodePort(port, 'TCP', port.healthCheckNodePort)) healthCheckRule(scope);
  return compact(scope.entries);
}

function hasAddress({ yielded, protocol, port }: PlannedPort, address: IpAddress): boolean {
  return yielded.size === 0 || !yielded.has(addressFrontend(address, protocol, port));
}

function hasNodePort({ yielded, family }: PlannedPort, protocol: Protocol, nodePort: number): boolean {
  return nodePort !== 0 && !yielded.has(nodePortFrontend(family, protocol, nodePort));
}

interface Scope {
  readonly port: PlannedPort;
  readonly serviceObject: string;
  /** Filled as the rules are made. */
  readonly entries: SectionEntry[];
}

function clusterIpRules(scope: Scope): void {
  const { port } = scope;
  if (port.internal === 'serve') {
    addAddress(scope, 'services', port.clusterIp, { comment: 'cluster IP', action: jump(internalChain(port)) });
  } else {
    addAddress(scope, 'refused', port.clusterIp, refusal(port.internal, 'internal'));
  }
}

function externalIpRules(scope: Scope, address: IpAddress): void {
  const { port } = scope;
  if (hasExternalChain(port)) {
    addAddress(scope, 'services', address, { comment: 'external IP', action: jump(chainOfPort('EXT', port)) });
  }
  if (port.external !== 'serve') addAddress(scope, 'externalRefused', address, refusal(port.external, 'external'));
}

function loadBalancerRules(scope: Scope, address: IpAddress): void {
  const { port } = scope;
  const chain = chainOfPort(hasFirewallChain(port) ? 'FW' : 'EXT', port);
  if (hasExternalChain(port)) {
    addAddress(scope, 'services', address, { comment: 'loadbalancer IP', action: jump(chain) });
  }
  if (hasFirewallChain(port)) {
    addAddress(scope, 'firewall', address, {
      comment: `traffic not accepted by ${chain}`,
      note: 'the client is in none of the loadBalancerSourceRanges',
      action: { kind: 'drop' },
    });
  }
  if (port.external !== 'serve') addAddress(scope, 'externalRefused', address, refusal(port.external, 'external'));
}

/** nodePorts never honour loadBalancerSourceRanges. */
function nodePortRules(scope: Scope): void {
  const { port } = scope;
  const { protocol, nodePort } = port;
  const matches = [protocolIs(protocol), destinationPort(nodePort)];
  const key = portKeyOf(protocol, nodePort);
  if (hasExternalChain(port)) {
    const action = jump(chainOfPort('EXT', port));
    addRule(scope, 'nodePorts', key, makeRule(textOf(scope, '', 'nodePort'), matches, action));
  }
  if (port.external !== 'serve') {
    const { comment, action, note } = refusal(port.external, 'external');
    const local: readonly Match[] = [destinationIsLocal, ...matches];
    addRule(scope, 'nodePortsRefused', key, makeRule(textOf(scope, comment, note), local, action));
  }
}

function healthCheckRule(scope: Scope): void {
  const { healthCheckNodePort } = scope.port;
  const matches = [protocolIs('TCP'), destinationPort(healthCheckNodePort)];
  const rule = makeRule(textOf(scope, 'health check node port'), matches, { kind: 'accept' });
  addRule(scope, 'healthChecks', portKeyOf('TCP', healthCheckNodePort), rule);
}

interface Target {
  /** What follows the service port's name. */
  readonly comment: string;
  /** For people; absent: the comment says it. */
  readonly note?: string;
  readonly action: Action;
}

/** A refused client is told where nothing could answer; policy Local is silent, so that balancers go to another node. */
function refusal(reach: Exclude<Reach, 'serve'>, side: 'internal' | 'external'): Target {
  if (reach === 'reject') {
    const note = 'the Service has no endpoint that can be used: the client is refused';
    return { comment: 'has no endpoints', note, action: { kind: 'reject' } };
  }
  const note = `${side}TrafficPolicy Local, and no endpoint of the Service is on this node`;
  return { comment: 'has no local endpoints', note, action: { kind: 'drop' } };
}

function addAddress(scope: Scope, section: SectionName, address: IpAddress, target: Target): void {
  const { protocol, port } = scope.port;
  const text = textOf(scope, target.comment, target.note);
  const rule = makeRule(text, frontendIs(protocol, address, port), target.action);
  addRule(scope, section, addressKey(address, protocol, port), rule);
}

function addRule({ port, entries }: Scope, section: SectionName, key: string, value: Rule): void {
  entries.push({ section, key, id: flat(port.servicePortName, ' ', String(entries.length)), value });
}

function textOf(
  { port, serviceObject }: Scope,
  comment: string,
  note = comment,
): Pick<Rule, 'origin'> & { comment: string } {
  const text = comment === '' ? port.servicePortName : flat(port.servicePortName, ' ', comment);
  return { comment: text, origin: originOf(port, serviceObject, note) };
}
