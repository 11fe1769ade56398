/** The parts of Kubernetes objects that Sluice uses, parsed and defaulted: sources check at the border, everything inside trusts these. */
import { flat } from '../lib/compact.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';

export type Labels = Readonly<Record<string, string>>;
export type Protocol = 'TCP' | 'UDP' | 'SCTP';

/** Where an object was written, so that answers can name the line. */
export interface ManifestLocation {
  readonly file: string;
  /** 1-based line of the object. */
  readonly line: number;
  /** Field path (`spec.ingress[0].from[1]`) to 1-based line. */
  readonly lines: ReadonlyMap<string, number>;
}

interface Common {
  readonly name: string;
  /** Object identity where the source has one: the same name with another uid is another object. */
  readonly uid?: string;
  readonly location?: ManifestLocation;
}

export interface Namespace extends Common {
  readonly kind: 'Namespace';
  readonly labels: Labels;
}

export interface Node extends Common {
  readonly kind: 'Node';
  readonly labels: Labels;
  /** InternalIP addresses, primary first. */
  readonly addresses: readonly IpAddress[];
  readonly podCidrs: readonly Cidr[];
  /** About to be taken away: it is being deleted, or the cluster autoscaler has tainted it. */
  readonly leaving?: true;
}

/** The taint by which the cluster autoscaler says that a node goes. */
export const leavingTaint = 'ToBeDeletedByClusterAutoscaler';

export interface ContainerPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

export interface Pod extends Common {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly nodeName?: string;
  readonly hostNetwork: boolean;
  /** Empty until the pod has an address. At most one of each family. */
  readonly ips: readonly IpAddress[];
  readonly phase: PodPhase;
  /** Has a deletionTimestamp; it keeps its address and its policies until it is gone. */
  readonly terminating: boolean;
  readonly ready: boolean;
  /** Ports of containers and of restartable init containers. */
  readonly ports: readonly ContainerPort[];
  /** Name of the Deployment it was made from, for `NS/NAME` lookups. */
  readonly deployment?: string;
  /** Annotation `sluice.io/allowed-source-prefixes`. */
  readonly allowedSources: readonly Cidr[];
}

export type LabelOperator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

/** Empty selects everything (metav1.LabelSelector). */
export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly LabelRequirement[];
}

export type PolicyPeer =
  | {
      readonly kind: 'pods';
      /** Field path of this peer, e.g. `spec.ingress[0].from[1]`. */
      readonly path: string;
      /** Absent: the policy's own namespace. */
      readonly namespaceSelector?: LabelSelector;
      /** Absent: all pods of the namespaces. */
      readonly podSelector?: LabelSelector;
    }
  | { readonly kind: 'ipBlock'; readonly path: string; readonly cidr: Cidr; readonly except: readonly Cidr[] };

export type PolicyPort =
  | { readonly kind: 'any'; readonly protocol: Protocol; readonly path: string }
  /** A single port has `first` = `last`. */
  | {
      readonly kind: 'range';
      readonly protocol: Protocol;
      readonly first: number;
      readonly last: number;
      readonly path: string;
    }
  | { readonly kind: 'named'; readonly protocol: Protocol; readonly name: string; readonly path: string };

export interface PolicyRule {
  /** `spec.ingress[0]` */
  readonly path: string;
  /** Absent: everybody (an empty or missing list in the API). Never empty. */
  readonly peers?: readonly PolicyPeer[];
  /** Absent: every protocol and port. Never empty. */
  readonly ports?: readonly PolicyPort[];
}

/** networking.k8s.io/v1 NetworkPolicy with its defaults filled in. A rule that could not be read is left out: the policy still isolates. */
export interface NetworkPolicy extends Common {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly podSelector: LabelSelector;
  readonly isolatesIngress: boolean;
  readonly isolatesEgress: boolean;
  readonly ingress: readonly PolicyRule[];
  readonly egress: readonly PolicyRule[];
  /** It could not be read whole, so it has no rules: where the first mistake is. */
  readonly malformed?: Mistake;
}

export interface Mistake {
  /** Field path; empty: the object itself. */
  readonly path: string;
  /** 1-based, where the object has a file. */
  readonly line?: number;
}

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
export type TrafficPolicy = 'Cluster' | 'Local';

export interface ServicePort {
  /** Empty where the Service has one unnamed port. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly targetPort: number | string;
  /** 0: none. */
  readonly nodePort: number;
}

export interface LoadBalancerIngress {
  readonly ip: IpAddress;
  readonly ipMode: 'VIP' | 'Proxy';
}

export interface Service extends Common {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly labels: Labels;
  /** creationTimestamp in milliseconds since 1970, where the source has one: of two Services that claim one address, the older has it. */
  readonly createdAtMs?: number;
  readonly type: ServiceType;
  /** Empty for headless and ExternalName Services. */
  readonly clusterIps: readonly IpAddress[];
  readonly headless: boolean;
  readonly externalName?: string;
  readonly externalIps: readonly IpAddress[];
  readonly loadBalancerIngress: readonly LoadBalancerIngress[];
  readonly loadBalancerSourceRanges: readonly Cidr[];
  readonly ports: readonly ServicePort[];
  /** Absent: endpoints are written by somebody else. */
  readonly selector?: Labels;
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly internalTrafficPolicy: TrafficPolicy;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  /** Seconds of ClientIP affinity; absent: none. */
  readonly sessionAffinitySeconds?: number;
  readonly publishNotReadyAddresses: boolean;
}

export interface Endpoint {
  readonly addresses: readonly IpAddress[];
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hintZones: readonly string[];
  readonly hintNodes: readonly string[];
  /** `namespace/name` of the pod behind it. */
  readonly pod?: string;
}

export interface EndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  /** Absent: every port (not usable by a Service port). */
  readonly port?: number;
}

export interface EndpointSlice extends Common {
  readonly kind: 'EndpointSlice';
  readonly namespace: string;
  readonly labels: Labels;
  /** Value of `kubernetes.io/service-name`. */
  readonly service: string;
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/** networking.k8s.io/v1 ServiceCIDR: a range that ClusterIPs come from. */
export interface ServiceCidr extends Common {
  readonly kind: 'ServiceCIDR';
  readonly labels: Labels;
  /** At most one of each family. */
  readonly cidrs: readonly Cidr[];
}

export type ClusterObject = Namespace | Node | Pod | NetworkPolicy | Service | EndpointSlice | ServiceCidr;
export type ObjectKind = ClusterObject['kind'];

/** Its processes are gone, and its address may already be another's. */
export function hasEnded({ phase }: Pick<Pod, 'phase'>): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}

/** `namespace/name`, or the name alone for kinds without a namespace: the key of every index. */
export function keyOf(object: ClusterObject): string {
  return 'namespace' in object ? flat(object.namespace, '/', object.name) : object.name;
}

/** `Kind namespace/name`: how messages name an object. */
export function describeObject(object: ClusterObject): string {
  return `${object.kind} ${keyOf(object)}`;
}
