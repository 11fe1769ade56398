/** Puts a cluster's objects into the API server and takes them out again, and says by a marker when all of them are known. */
import { familyName } from '../../src/lib/ip.ts';
import type { ApiClient } from './api-client.ts';
import type { ApiService, ApiSlice, ServiceCase, TestCluster } from './api-objects.ts';
import type { Machine } from './topology.ts';
import {
  clientPod,
  clusterIpPrefixes,
  families,
  hostPod,
  localPods,
  nodeAddresses,
  nodeName,
  otherNodeName,
  otherPodCidrs,
  podCidrs,
  remotePods,
  routerAddresses,
  serverPorts,
  zones,
} from './topology.ts';

const services = '/api/v1/namespaces/default/services';
const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const nodes = '/api/v1/nodes';
const pods = '/api/v1/namespaces/default/pods';
const zoneLabel = 'topology.kubernetes.io/zone';

/** The API server answers 409 for what is there and 404 for what is not. */
const [conflict, notFound] = [409, 404];

/** The nodes and pods that every cluster has. */
export async function putSurroundings(api: ApiClient): Promise<void> {
  await api.ask('POST', '/api/v1/namespaces/default/serviceaccounts', serviceAccount, [conflict]);
  await putNode(api, nodeName, [podCidrs.ipv4, podCidrs.ipv6], [nodeAddresses.ipv4, nodeAddresses.ipv6]);
  await putNode(
    api,
    otherNodeName,
    [otherPodCidrs.ipv4, otherPodCidrs.ipv6],
    [routerAddresses.ipv4, routerAddresses.ipv6],
  );
  for (const pod of [...localPods, clientPod, ...remotePods, hostPod]) await putPod(api, pod);
}

/** Returns when the API server has everything, a Service called `marker` last: a name that was never there before. */
export async function putCluster(api: ApiClient, cluster: TestCluster, marker: string): Promise<void> {
  await putZone(api, cluster);
  await allOf(cluster.cases.map((one) => putCase(api, one)));
  await putCase(api, markerCase(marker));
}

/**
 * As `putCluster`, where `former` is there with a marker of its own: what both have is changed in place, and the former
 * marker goes.
 */
export async function changeCluster(
  api: ApiClient,
  former: { readonly cluster: TestCluster; readonly marker: string },
  cluster: TestCluster,
  marker: string,
): Promise<void> {
  await deleteCase(api, markerCase(former.marker));
  const before = new Map(former.cluster.cases.map((one) => [one.service.metadata.name, one]));
  await putZone(api, cluster);
  await allOf(
    cluster.cases.map((one) => {
      const old = before.get(one.service.metadata.name);
      return old === undefined ? putCase(api, one) : changeCase(api, old, one);
    }),
  );
  await putCase(api, markerCase(marker));
}

export async function deleteCluster(api: ApiClient, cluster: TestCluster, marker: string): Promise<void> {
  await Promise.all([...cluster.cases, markerCase(marker)].map((one) => deleteCase(api, one)));
}

/**
 * A Service of which one endpoint is hinted to each zone: where a node's rules lead to exactly the right ones, the node
 * knows everything that was there before, and in which zone it is.
 */
function markerCase(name: string): ServiceCase {
  const service: ApiService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: {
      type: 'ClusterIP',
      clusterIP: `${clusterIpPrefixes.ipv4}.200.1`,
      clusterIPs: [`${clusterIpPrefixes.ipv4}.200.1`, `${clusterIpPrefixes.ipv6}::7001`],
      ipFamilies: ['IPv4', 'IPv6'],
      ipFamilyPolicy: 'RequireDualStack',
      ports: [{ protocol: 'TCP', port: 1 }],
    },
  };
  const marks = families.map(
    (family): ApiSlice => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-${family}`, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
      addressType: familyName(family),
      ports: [{ protocol: 'TCP', port: 1 }],
      endpoints: zones.map((zone, index) => ({
        addresses: [family === 'ipv4' ? `10.244.250.${index + 1}` : `fd00:10:244:250::${index + 1}`],
        hints: { forZones: [{ name: zone }] },
      })),
    }),
  );
  return { service, slices: marks };
}

/** Whether `saved` (of one family) leads the marker's clients where the node's zone says. */
export function showsMarker(cluster: TestCluster, marker: string, saved: string): boolean {
  const isThere = zones.map((_zone, index) =>
    new RegExp(
      `-A KUBE-SVC-\\S+ .*"default/${marker} -> \\[?(?:10\\.244\\.250\\.|fd00:10:244:250::)${index + 1}\\]?:1"`,
    ).test(saved),
  );
  const wanted = zones.map((zone) => cluster.zone === undefined || cluster.zone === zone);
  return isThere.join() === wanted.join();
}

async function putZone(api: ApiClient, { zone }: TestCluster): Promise<void> {
  const label = { metadata: { labels: { [zoneLabel]: zone ?? null } } };
  await api.ask('PATCH', `${nodes}/${nodeName}`, label);
}

/** All of them have ended before one failure is told: what is taken out afterwards is everything that was put in. */
async function allOf(tasks: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function putCase(api: ApiClient, { service, slices: own }: ServiceCase): Promise<void> {
  const { status, ...rest } = service;
  const made = await api.ask('POST', services, rest);
  if (status !== undefined) await putStatus(api, service, made);
  await Promise.all(own.map((slice) => api.ask('POST', slices, slice)));
}

/** The Service in place; its slices are made anew, some under the same names. */
async function changeCase(api: ApiClient, former: ServiceCase, { service, slices: own }: ServiceCase): Promise<void> {
  const { status, ...rest } = service;
  const path = `${services}/${service.metadata.name}`;
  const metadata = { ...service.metadata, resourceVersion: versionOf(await api.ask('GET', path)) };
  const changed = await api.ask('PUT', path, { ...rest, metadata });
  if (status !== undefined) await putStatus(api, service, changed);
  await deleteSlices(api, former);
  await Promise.all(own.map((slice) => api.ask('POST', slices, slice)));
}

async function putStatus(api: ApiClient, service: ApiService, present: unknown): Promise<void> {
  const { name } = service.metadata;
  const metadata = { ...service.metadata, resourceVersion: versionOf(present) };
  await api.ask('PUT', `${services}/${name}/status`, { ...service, metadata });
}

async function deleteCase(api: ApiClient, one: ServiceCase): Promise<void> {
  await api.ask('DELETE', `${services}/${one.service.metadata.name}`, undefined, [notFound]);
  await deleteSlices(api, one);
}

async function deleteSlices(api: ApiClient, { slices: own }: ServiceCase): Promise<void> {
  await Promise.all(own.map(({ metadata }) => api.ask('DELETE', `${slices}/${metadata.name}`, undefined, [notFound])));
}

function versionOf(object: unknown): string {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every object of the API server has it
  return (object as { readonly metadata: { readonly resourceVersion: string } }).metadata.resourceVersion;
}

/** Without a controller manager nobody makes it, and no pod is admitted. */
const serviceAccount = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'default', namespace: 'default' },
};

async function putNode(
  api: ApiClient,
  name: string,
  cidrs: readonly string[],
  addresses: readonly string[],
): Promise<void> {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    spec: { podCIDR: cidrs[0], podCIDRs: cidrs },
  };
  await api.ask('POST', nodes, node, [conflict]);
  const status = {
    addresses: [...addresses.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: name }],
  };
  await api.ask('PATCH', `${nodes}/${name}/status`, { status });
}

async function putPod(api: ApiClient, machine: Machine): Promise<void> {
  const ports = serverPorts.map(({ port, protocol }) => ({ containerPort: port, protocol }));
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: machine.name },
    spec: {
      nodeName: machine.node,
      automountServiceAccountToken: false,
      ...(machine === hostPod ? { hostNetwork: true } : {}),
      containers: [{ name: 'c', image: 'none', ports }],
    },
  };
  await api.ask('POST', pods, pod, [conflict]);
  const podIPs = families.map((family) => ({ ip: machine.addresses[family] }));
  const status = { phase: 'Running', podIP: machine.addresses.ipv4, podIPs, hostIPs: undefined };
  await api.ask('PATCH', `${pods}/${machine.name}/status`, {
    status: { ...status, conditions: [{ type: 'Ready', status: 'True' }] },
  });
}
