/** Pods as calicoctl shows them: node, addresses and the host side of the veth. */
import type { Pod } from '../../cluster/objects.ts';
import { hasEnded, keyOf } from '../../cluster/objects.ts';
import type { ClusterState } from '../../cluster/state.ts';
import { vethName } from '../../dataplane/names.ts';
import { bitsOf, familyOf } from '../../lib/ip.ts';
import type { Resource, ResourceTable } from './resource.ts';

/** `interfaces`: by pod, as an agent found them on its node; of other pods Calico's name is shown. */
export function workloadEndpointTable(
  state: ClusterState,
  interfaces: ReadonlyMap<string, string> = new Map(),
): ResourceTable {
  return {
    columns: ['WORKLOAD', 'NODE', 'NETWORKS', 'INTERFACE'],
    wideColumns: ['NAME', 'WORKLOAD', 'NODE', 'NETWORKS', 'INTERFACE', 'PROFILES'],
    resources: [...state.pods.values()].filter(isEndpoint).map((pod) => endpointResource(pod, interfaces)),
    list: { apiVersion: 'projectcalico.org/v3', kind: 'WorkloadEndpointList' },
  };
}

function isEndpoint(pod: Pod): boolean {
  return !pod.hostNetwork && !hasEnded(pod) && pod.nodeName !== undefined && pod.ips.length > 0;
}

function endpointResource(pod: Pod, interfaces: ReadonlyMap<string, string>): Resource {
  const { namespace, name: workload, nodeName: node = '' } = pod;
  const name = `${escapeDashes(node)}-k8s-${escapeDashes(workload)}-eth0`;
  const ipNetworks = pod.ips.map((address) => `${address}/${bitsOf(familyOf(address))}`);
  const interfaceName = interfaces.get(keyOf(pod)) ?? vethName(namespace, workload);
  const profiles = [`kns.${namespace}`, `ksa.${namespace}.${pod.serviceAccount}`];
  const networks = ipNetworks.join(',');
  return {
    namespace,
    name,
    cells: [workload, node, networks, interfaceName],
    wideCells: [name, workload, node, networks, interfaceName, profiles.join(',')],
    object: {
      apiVersion: 'projectcalico.org/v3',
      kind: 'WorkloadEndpoint',
      metadata: { labels: endpointLabels(pod), name, namespace },
      spec: {
        endpoint: 'eth0',
        interfaceName,
        ipNetworks,
        node,
        orchestrator: 'k8s',
        pod: workload,
        ...(pod.ports.length === 0 ? {} : { ports: pod.ports }),
        profiles,
        serviceAccountName: pod.serviceAccount,
      },
    },
  };
}

function endpointLabels(pod: Pod): Readonly<Record<string, string>> {
  return {
    ...pod.labels,
    'projectcalico.org/namespace': pod.namespace,
    'projectcalico.org/orchestrator': 'k8s',
    'projectcalico.org/serviceaccount': pod.serviceAccount,
  };
}

/** Calico joins the parts of the name with dashes, so a dash inside a part is doubled. */
function escapeDashes(part: string): string {
  return part.replaceAll('-', '--');
}
