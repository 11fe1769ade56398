/** The parts of API objects that the clusters are made of, as the API server takes them. */

export interface ApiMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export type ApiProtocol = 'TCP' | 'UDP' | 'SCTP';

export interface ApiServicePort {
  readonly name?: string;
  readonly protocol: ApiProtocol;
  readonly port: number;
  readonly nodePort?: number;
}

export interface ApiIngress {
  readonly ip?: string;
  readonly hostname?: string;
  readonly ipMode?: 'VIP' | 'Proxy';
}

export interface ApiService {
  readonly apiVersion: 'v1';
  readonly kind: 'Service';
  readonly metadata: ApiMetadata;
  readonly spec: {
    readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly ipFamilies?: readonly ('IPv4' | 'IPv6')[];
    readonly ipFamilyPolicy?: 'SingleStack' | 'RequireDualStack';
    readonly externalName?: string;
    readonly externalIPs?: readonly string[];
    readonly ports?: readonly ApiServicePort[];
    readonly allocateLoadBalancerNodePorts?: boolean;
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly externalTrafficPolicy?: 'Cluster' | 'Local';
    readonly internalTrafficPolicy?: 'Cluster' | 'Local';
    readonly healthCheckNodePort?: number;
    readonly sessionAffinity?: 'ClientIP' | 'None';
    readonly sessionAffinityConfig?: { readonly clientIP: { readonly timeoutSeconds: number } };
    readonly publishNotReadyAddresses?: boolean;
  };
  readonly status?: { readonly loadBalancer: { readonly ingress: readonly ApiIngress[] } };
}

export interface ApiEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean; readonly terminating?: boolean };
  readonly nodeName?: string;
  readonly zone?: string;
  readonly hints?: {
    readonly forZones?: readonly { readonly name: string }[];
    readonly forNodes?: readonly { readonly name: string }[];
  };
}

export interface ApiSlicePort {
  readonly name?: string;
  readonly protocol: ApiProtocol;
  readonly port?: number;
}

export interface ApiSlice {
  readonly apiVersion: 'discovery.k8s.io/v1';
  readonly kind: 'EndpointSlice';
  readonly metadata: ApiMetadata;
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly ports: readonly ApiSlicePort[];
  readonly endpoints: readonly ApiEndpoint[];
}

/** One Service and what stands behind it: the unit that is dropped while the smallest cluster is sought. */
export interface ServiceCase {
  readonly service: ApiService;
  readonly slices: readonly ApiSlice[];
}

export interface TestCluster {
  readonly seed: number;
  /** The node's `topology.kubernetes.io/zone`; absent: it has none. */
  readonly zone?: string;
  readonly cases: readonly ServiceCase[];
}
