/** What Services mean for one node, before anybody thinks of chains. */
import type { Protocol, Service, TrafficPolicy } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';

/** Why an endpoint is in a list or not (kube-proxy.md 1.4, 1.10). */
export type EndpointReason =
  /** Used: it is ready. */
  | 'ready'
  /** Used: no endpoint is ready, and this one is still serving while it terminates. */
  | 'serving-while-terminating'
  | 'not-ready'
  | 'not-serving'
  | 'terminating'
  /** Topology hints keep this node's traffic on its own node, or in its own zone. */
  | 'hinted-to-other-node'
  | 'hinted-to-other-zone'
  | 'on-other-node'
  /** No traffic policy of this service port asks for the list. */
  | 'list-not-needed';

export interface EndpointUse {
  readonly used: boolean;
  readonly why: EndpointReason;
}

/** One address and port behind a service port. */
export interface PlannedEndpoint {
  readonly address: IpAddress;
  readonly port: number;
  readonly local: boolean;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName?: string;
  readonly zone?: string;
  /** `namespace/name` */
  readonly pod?: string;
  /** Its place in the list that policy Cluster uses. */
  readonly inCluster: EndpointUse;
  /** Its place in the list that policy Local uses. */
  readonly inLocal: EndpointUse;
}

/**
 * What becomes of a packet to a frontend. `reject`: no endpoint anywhere; `drop`: policy Local and no endpoint here, so
 * that a load balancer's probe times out instead of being refused.
 */
export type Reach = 'serve' | 'reject' | 'drop';

/** One port of one Service in one address family. */
export interface PlannedPort {
  readonly family: IpFamily;
  /** `ns/name`, or `ns/name:port`. */
  readonly servicePortName: string;
  /** `spec.ports[0]` */
  readonly path: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly clusterIp: IpAddress;
  readonly externalIps: readonly IpAddress[];
  readonly loadBalancerIps: readonly IpAddress[];
  /** 0: none. */
  readonly nodePort: number;
  /** 0: none. */
  readonly healthCheckNodePort: number;
  readonly internalPolicy: TrafficPolicy;
  readonly externalPolicy: TrafficPolicy;
  /** Has a nodePort, a load balancer address or an external IP. */
  readonly externallyAccessible: boolean;
  readonly affinitySeconds?: number;
  /** Clients of the load balancer addresses; empty: everybody. */
  readonly sourceRanges: readonly Cidr[];
  /** The node itself is among them: its packets to the load balancer address carry that very address as source. */
  readonly nodeInSourceRanges: boolean;
  /** Packets to the ClusterIP. */
  readonly internal: Reach;
  /** Packets from outside to the other frontends. */
  readonly external: Reach;
  /** Whose packets to the ClusterIP are masqueraded, besides an endpoint's own. */
  readonly masqueradeInternal: 'everybody' | 'not-pods' | 'nobody';
  /** The same for the other frontends; policy Local keeps the source of everybody but the node itself. */
  readonly masqueradeExternal: 'everybody' | 'node';
  /** Everything the slices name, sorted by `address:port`. */
  readonly endpoints: readonly PlannedEndpoint[];
  readonly clusterEndpoints: readonly PlannedEndpoint[];
  readonly localEndpoints: readonly PlannedEndpoint[];
  /** Frontends of the Service (claims.ts) that another one has, with its `namespace/name`: they have no rules here. */
  readonly yielded: ReadonlyMap<string, string>;
}

/** What the health check server of a Service answers (kube-proxy.md 2.6). */
export interface PlannedHealthCheck {
  readonly nodePort: number;
  /** Distinct ready addresses on this node. */
  readonly localEndpoints: Readonly<Record<IpFamily, number>>;
}

export interface PlannedService {
  readonly service: Service;
  /** By port, IPv4 before IPv6. Empty: nothing is served here (headless, ExternalName, another proxy's). */
  readonly ports: readonly PlannedPort[];
  readonly healthCheck?: PlannedHealthCheck;
}

/** A live, read-only view. */
export interface ServicePlan {
  /** By `namespace/name`; every Service is here. */
  readonly services: ReadonlyMap<string, PlannedService>;
}
