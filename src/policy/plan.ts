/** What NetworkPolicies mean for one node, before anybody thinks of chains. */
import type { NetworkPolicy, Pod } from '../cluster/objects.ts';
import type { IpSetChange } from '../dataplane/dataplane.ts';
import type { IpSetName } from '../dataplane/names.ts';
import type { IpSet, Origin, PortRange, TransportProtocol } from '../dataplane/rule.ts';
import type { Cidr, IpFamily } from '../lib/ip.ts';

export type Direction = 'ingress' | 'egress';

/** One allow rule: (one protocol or all) x one peer. Ports are destination ports. */
export interface PlannedRule {
  /** Absent: every protocol. */
  readonly protocol?: TransportProtocol;
  readonly peer: PlannedPeer;
  readonly ports: PlannedPorts;
  readonly origin: Origin;
}

export type PlannedPeer =
  | { readonly kind: 'all' }
  /** Members of a selector's set; the name per family. */
  | { readonly kind: 'set'; readonly sets: Readonly<Record<IpFamily, IpSetName>> }
  | { readonly kind: 'block'; readonly cidr: Cidr; readonly except: readonly Cidr[] };

export type PlannedPorts =
  | { readonly kind: 'all' }
  /** Sorted, merged. */
  | { readonly kind: 'ranges'; readonly ranges: readonly PortRange[] }
  /** (address, protocol:port) pairs of the destination pods; for egress they are already narrowed to the peer, whose kind is then `all`. */
  | { readonly kind: 'named'; readonly sets: Readonly<Record<IpFamily, IpSetName>> };

/** A policy that selects at least one local pod. A direction that it does not isolate is absent. */
export interface ActivePolicy {
  /** `<ns>/knp.default.<name>` */
  readonly id: string;
  readonly policy: NetworkPolicy;
  readonly ingress?: readonly PlannedRule[];
  readonly egress?: readonly PlannedRule[];
}

/** A local pod that is policed: not hostNetwork, not finished, with an address. */
export interface WorkloadEndpoint {
  /** `namespace/name` */
  readonly key: string;
  readonly pod: Pod;
  /** Ids of the policies that isolate it, in Calico's order (by id); empty: not isolated in that direction. */
  readonly ingress: readonly string[];
  readonly egress: readonly string[];
  /** `kns.<namespace>`, `ksa.<namespace>.<serviceaccount>` */
  readonly profiles: readonly string[];
}

/** A live, read-only view. */
export interface PolicyPlan {
  /** By pod key. */
  readonly endpoints: ReadonlyMap<string, WorkloadEndpoint>;
  /** By policy id. */
  readonly policies: ReadonlyMap<string, ActivePolicy>;
  /** Profile name to how many endpoints use it. */
  readonly profiles: ReadonlyMap<string, number>;
  /** Every set that an active policy's rule refers to. */
  readonly ipSets: ReadonlyMap<IpSetName, IpSet>;
}

/** Absent value: gone. Everything not named is unchanged. */
export interface PolicyPlanDelta {
  readonly endpoints: ReadonlyMap<string, WorkloadEndpoint | undefined>;
  readonly policies: ReadonlyMap<string, ActivePolicy | undefined>;
  /** true: appeared, false: gone. */
  readonly profiles: ReadonlyMap<string, boolean>;
  readonly ipSets: readonly IpSetChange[];
}
