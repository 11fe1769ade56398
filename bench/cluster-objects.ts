/** The cluster of `bench -- cluster`: that of `bench -- update`, as an API server takes it, with three nodes that are real. */
import type { ApiClient } from '../e2e/differential/api-client.ts';
import type { ApiRequest } from '../e2e/differential/api-worker.ts';
import type { ClusterObject, NetworkPolicy, Node, Pod } from '../src/cluster/objects.ts';
import { knownCidr, knownIp } from '../src/lib/ip.ts';
import { manifestOf } from '../src/manifests/write.ts';
import { localPod, type ClusterSize, policyCluster } from './policy-cluster.ts';

export type Change = Omit<ApiRequest, 'id'>;

export const namespaces = 10;
/** On each of the real nodes: every policy selects one of them. */
export const localPods = 100;
export const realNodes = [1, 2, 3] as const;
/** Nodes that are no more than their objects. */
const otherNodes = 47;
/** Connections of the client that loads the cluster. */
const atOnce = 16;

export function nodeNameOf(number: number): string {
  return `bench-${number}`;
}

export function podCidrOf(number: number): string {
  return `10.244.${number}.0/24`;
}

/** The pods of a real node that are there from the start; those after them come and go. */
export function podOnNode(number: number, index: number): Pod {
  const pod = localPod(index, namespaces);
  const ips = [knownIp(`10.244.${number}.${10 + index}`)];
  return { ...pod, name: `on-${number}-${index}`, nodeName: nodeNameOf(number), ips };
}

/** Puts it into the API server. `pods` counts those of all nodes. */
export async function loadCluster(api: ApiClient, nodeAddress: (number: number) => string, size: ClusterSize) {
  const objects = [...clusterObjects(nodeAddress, size)];
  const isFirst = ({ kind }: ClusterObject): boolean => kind === 'Node' || kind === 'Namespace';
  await inParallel(objects.filter(isFirst), (object) => putWhole(api, object));
  await inParallel(
    objects.filter((object) => !isFirst(object)),
    (object) => putWhole(api, object),
  );
}

function* clusterObjects(nodeAddress: (number: number) => string, size: ClusterSize): Generator<ClusterObject> {
  yield* nodeObjects(nodeAddress);
  yield* placelessObjects(size);
  yield* podsOfRealNodes();
}

function* nodeObjects(nodeAddress: (number: number) => string): Generator<Node> {
  for (let number = 1; number <= realNodes.length + otherNodes; number++) {
    const name = nodeNameOf(number);
    const podCidrs = [knownCidr(podCidrOf(number))];
    const labels = { 'kubernetes.io/hostname': name };
    yield { kind: 'Node', name, labels, addresses: [knownIp(nodeAddress(number))], podCidrs };
  }
}

/** Namespaces, policies, and the pods of nodes that are not real. */
function* placelessObjects(size: ClusterSize): Generator<ClusterObject> {
  const pods = size.pods - realNodes.length * localPods;
  for (const change of policyCluster({ ...size, pods, localPods: 0, namespaces })) {
    if (change.type !== 'set' || change.object.kind === 'Node') continue;
    yield change.object.kind === 'Pod' ? elsewhere(change.object) : change.object;
  }
}

function* podsOfRealNodes(): Generator<Pod> {
  for (const number of realNodes) {
    for (let index = 0; index < localPods; index++) yield podOnNode(number, index);
  }
}

export async function inParallel<Item>(items: readonly Item[], act: (item: Item) => Promise<void>): Promise<void> {
  const left = items.values();
  const work = async (): Promise<void> => {
    for (const item of left) await act(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

export function creation(object: ClusterObject): Change {
  return { method: 'POST', path: collectionOf(object), body: bodyOf(object) };
}

/** What `kubectl apply --server-side` sends. */
export function application(policy: NetworkPolicy): Change {
  return {
    method: 'PATCH',
    path: `${pathOf(policy)}?fieldManager=bench&force=true`,
    type: 'application/apply-patch+yaml',
    body: bodyOf(policy),
  };
}

/** What a kubelet says once a pod has an address. */
export function addressReport(pod: Pod): Change {
  return { method: 'PATCH', path: `${pathOf(pod)}/status`, body: { status: statusOf(pod) } };
}

export function removal(object: ClusterObject): Change {
  return { method: 'DELETE', path: pathOf(object), body: { gracePeriodSeconds: 0 } };
}

/** A pod's status is told after it was made, as always. */
async function putWhole(api: ApiClient, object: ClusterObject): Promise<void> {
  await api.timed(creation(object));
  if (object.kind === 'Pod') await api.timed(addressReport(object));
}

function elsewhere(pod: Pod): Pod {
  const index = Number(pod.name.replace(/\D/g, ''));
  return { ...pod, nodeName: nodeNameOf(realNodes.length + 1 + (index % otherNodes)) };
}

function pathOf(object: ClusterObject): string {
  return `${collectionOf(object)}/${object.name}`;
}

function collectionOf(object: ClusterObject): string {
  switch (object.kind) {
    case 'Node':
      return '/api/v1/nodes';
    case 'Namespace':
      return '/api/v1/namespaces';
    case 'Pod':
      return `/api/v1/namespaces/${object.namespace}/pods`;
    case 'NetworkPolicy':
      return `/apis/networking.k8s.io/v1/namespaces/${object.namespace}/networkpolicies`;
    default:
      throw new Error(`this cluster holds no ${object.kind}`);
  }
}

function bodyOf(object: ClusterObject): object {
  return object.kind === 'Pod' ? podBody(object) : manifestOf(object);
}

/** About as large as those that a Deployment makes: memory is measured. */
function podBody({ namespace, name, labels, nodeName, ports }: Pod): object {
  const volume = `kube-api-access-${name}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      labels,
      annotations: { 'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z', 'prometheus.io/scrape': 'true' },
    },
    spec: {
      nodeName,
      serviceAccountName: 'default',
      containers: [
        {
          name: 'app',
          image: 'registry.example/team/app:1.2.3',
          ports: ports.map(({ name: port, port: containerPort, protocol }) => ({
            name: port,
            containerPort,
            protocol,
          })),
          env: [1, 2, 3, 4, 5].map((number) => ({ name: `SETTING_${number}`, value: `value of setting ${number}` })),
          resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
          readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
          volumeMounts: [{ name: volume, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true }],
        },
      ],
      volumes: [{ name: volume, projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }],
    },
  };
}

function statusOf({ ips }: Pod): object {
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  return {
    phase: 'Running',
    podIP: ips[0],
    podIPs: ips.map((ip) => ({ ip })),
    startTime: lastTransitionTime,
    conditions: conditions.map((type) => ({ type, status: 'True', lastTransitionTime })),
    containerStatuses: [
      {
        name: 'app',
        image: 'registry.example/team/app:1.2.3',
        imageID: `registry.example/team/app@sha256:${'0'.repeat(64)}`,
        containerID: `containerd://${'0'.repeat(64)}`,
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: lastTransitionTime } },
      },
    ],
  };
}
