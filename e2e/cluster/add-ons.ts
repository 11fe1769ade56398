/** What a cluster needs once something serves its Services: names. */
import type { Cluster } from './cluster.ts';
import { clusterDnsManifests } from './cluster-dns.ts';

/** Applies CoreDNS and returns when it answers its readiness probe: it reaches the API server through a Service then. */
export async function startDns({ kubectl, topology }: Pick<Cluster, 'kubectl' | 'topology'>): Promise<void> {
  await kubectl(['apply', '-f', '-'], clusterDnsManifests(topology.dnsAddress));
  await kubectl(['-n', 'kube-system', 'rollout', 'status', 'deployment/coredns', '--timeout=180s']);
}
