/** The Calico v3 object that stands for a Kubernetes NetworkPolicy, as `calicoctl get networkPolicy -o yaml` shows it. */
import type { NetworkPolicy, PolicyPeer, PolicyRule } from '../cluster/objects.ts';
import { everything } from '../cluster/selector.ts';
import type { PortRange } from '../dataplane/rule.ts';
import { formatCidr } from '../lib/ip.ts';
import type { Direction } from './plan.ts';
import type { ProtocolPorts } from './ports.ts';
import { portsByProtocol } from './ports.ts';
import { calicoSelectorText } from './selector-text.ts';

export interface CalicoEntity {
  readonly namespaceSelector?: string;
  readonly nets?: readonly string[];
  readonly notNets?: readonly string[];
  /** A number, `first:last`, or a name; names first. */
  readonly ports?: readonly (number | string)[];
  readonly selector?: string;
}

export interface CalicoRule {
  readonly action: 'Allow';
  readonly destination: CalicoEntity;
  readonly protocol?: string;
  readonly source: CalicoEntity;
}

export interface CalicoNetworkPolicy {
  readonly apiVersion: 'projectcalico.org/v3';
  readonly kind: 'NetworkPolicy';
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid?: string };
  readonly spec: {
    readonly egress?: readonly CalicoRule[];
    readonly ingress?: readonly CalicoRule[];
    readonly order: number;
    readonly selector: string;
    readonly types: readonly ('Ingress' | 'Egress')[];
  };
}

/** Keys stand in the order that calicoctl prints: by name. */
export function calicoNetworkPolicy(policy: NetworkPolicy): CalicoNetworkPolicy {
  const { name, namespace, uid } = policy;
  const egress = policy.egress.flatMap((rule) => calicoRules(rule, 'egress'));
  const ingress = policy.ingress.flatMap((rule) => calicoRules(rule, 'ingress'));
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'NetworkPolicy',
    metadata: { name: `knp.default.${name}`, namespace, ...(uid === undefined ? {} : { uid }) },
    spec: {
      ...(egress.length === 0 ? {} : { egress }),
      ...(ingress.length === 0 ? {} : { ingress }),
      order: 1000,
      selector: calicoSelectorText(policy.podSelector, 'pods'),
      types: [
        ...(policy.isolatesIngress ? ['Ingress' as const] : []),
        ...(policy.isolatesEgress ? ['Egress' as const] : []),
      ],
    },
  };
}

/** One rule for each protocol and peer, protocols by name. */
function calicoRules(rule: PolicyRule, direction: Direction): readonly CalicoRule[] {
  const peers = (rule.peers ?? []).map(calicoPeer);
  return portsByProtocol(rule.ports).flatMap((ports) =>
    (peers.length === 0 ? [{}] : peers).map((peer) => calicoRule(peer, ports, direction)),
  );
}

function calicoRule(peer: CalicoEntity, ports: ProtocolPorts, direction: Direction): CalicoRule {
  const listed = [...ports.names, ...ports.ranges.map(calicoPort)];
  const withPorts = listed.length === 0 ? {} : { ports: listed };
  return {
    action: 'Allow',
    destination: direction === 'ingress' ? withPorts : sorted({ ...peer, ...withPorts }),
    ...(ports.protocol === undefined ? {} : { protocol: ports.protocol.toUpperCase() }),
    source: direction === 'ingress' ? peer : {},
  };
}

function calicoPeer(peer: PolicyPeer): CalicoEntity {
  if (peer.kind === 'ipBlock') {
    const notNets = peer.except.map(formatCidr);
    return { nets: [formatCidr(peer.cidr)], ...(notNets.length === 0 ? {} : { notNets }) };
  }
  const { namespaceSelector, podSelector } = peer;
  return {
    ...(namespaceSelector === undefined
      ? {}
      : { namespaceSelector: calicoSelectorText(namespaceSelector, 'namespaces') }),
    selector: calicoSelectorText(podSelector ?? everything, 'pods'),
  };
}

function sorted(entity: CalicoEntity): CalicoEntity {
  return Object.fromEntries(Object.entries(entity).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function calicoPort(range: PortRange): number | string {
  return range.first === range.last ? range.first : `${range.first}:${range.last}`;
}
