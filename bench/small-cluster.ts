/** A node with ten pods in a cluster of fifty, ten policies and five Services: what most nodes are like, and what a start and a rest are measured with. */
import type { ClusterObject } from '../src/cluster/objects.ts';
import { ipBatch, type Netns } from './netns.ts';
import { localPod, policyCluster } from './policy-cluster.ts';
import { serviceAt, sliceAt } from './service-cluster.ts';

export const smallSize = { policies: 10, pods: 40, localPods: 10, namespaces: 2, services: 5 } as const;

export function smallCluster(): readonly ClusterObject[] {
  const policed = [...policyCluster(smallSize)].flatMap((change) => (change.type === 'set' ? [change.object] : []));
  const services = Array.from({ length: smallSize.services }, (_, index) => {
    const endpoints = [2 * index, 2 * index + 1].flatMap((pod) => localPod(pod, smallSize.namespaces).ips);
    return [serviceAt(index), sliceAt(index, endpoints)];
  }).flat();
  const namespaces = [...new Set(services.map(({ namespace }) => namespace))];
  return [
    ...policed,
    ...namespaces.map((name) => ({
      kind: 'Namespace' as const,
      name,
      labels: { 'kubernetes.io/metadata.name': name },
    })),
    ...services,
  ];
}

/** A veth and a route for every pod of the node. */
export async function wireSmallCluster(node: Netns, pods: Netns): Promise<void> {
  const lines = Array.from({ length: smallSize.localPods }, (_, index) => {
    const device = `pod${index}`;
    return [
      `link add ${device} type veth peer name ${device} netns ${pods.name}`,
      `link set ${device} addrgenmode none`,
      `link set ${device} up`,
      `route add ${localPod(index, smallSize.namespaces).ips[0] ?? ''}/32 dev ${device}`,
    ];
  });
  await ipBatch(node, lines.flat());
}
