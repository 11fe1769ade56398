/** Checked objects as the files state them: what a cluster would fill in may still be absent. */
import type {
  EndpointSlice,
  Labels,
  ManifestLocation,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  Service,
  ServiceCidr,
} from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';

/** Values that a file states. A list (`podIPs`) states all of them, a single field (`podIP`) the one of its family. */
export interface Stated<T> {
  readonly values: readonly T[];
  readonly whole: boolean;
}

export interface ParsedNode extends Omit<Node, 'addresses' | 'podCidrs'> {
  readonly addresses: Stated<IpAddress>;
  readonly podCidrs: Stated<Cidr>;
}

export interface ParsedPod extends Omit<Pod, 'ips'> {
  readonly ips: Stated<IpAddress>;
}

/** What a Deployment's pods have in common. */
export interface PodTemplate {
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly nodeName?: string;
  readonly hostNetwork: boolean;
  readonly ports: Pod['ports'];
  readonly allowedSources: readonly Cidr[];
}

export interface ParsedDeployment {
  readonly kind: 'Deployment';
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly location?: ManifestLocation;
  readonly replicas: number;
  readonly template: PodTemplate;
}

export type IpFamilyPolicy = 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';

/** What a cluster's controller makes hints of. */
export type TrafficDistribution = 'PreferClose' | 'PreferSameZone' | 'PreferSameNode';

export interface ParsedService extends Omit<Service, 'clusterIps'> {
  readonly clusterIps: Stated<IpAddress>;
  /** Empty: not stated. */
  readonly ipFamilies: readonly IpFamily[];
  readonly ipFamilyPolicy?: IpFamilyPolicy;
  readonly allocateNodePorts: boolean;
  readonly trafficDistribution?: TrafficDistribution;
}

export type ParsedObject =
  | Namespace
  | ParsedNode
  | ParsedPod
  | ParsedDeployment
  | ParsedService
  | EndpointSlice
  | NetworkPolicy
  | ServiceCidr;
