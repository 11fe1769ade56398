/** A synthetic cluster: isolated customers' namespaces, remote pods by the hundred thousand, some pods on the node under test. */
import type { LabelSelector, Namespace, NetworkPolicy, Node, Pod } from '../src/cluster/objects.ts';
import type { ClusterChange } from '../src/cluster/state.ts';
import { type IpAddress, ipFromInteger, ipToInteger, knownCidr, knownIp } from '../src/lib/ip.ts';

export interface ClusterSize {
  readonly pods: number;
  readonly policies: number;
  readonly localPods: number;
  /** Default: ten policies in each. */
  readonly namespaces?: number;
}

export const benchNode = 'node-0';
const appsPerNamespace = 10;
const remoteNodes = 5000;
/** The first app's port is the one after it. */
export const firstPort = 8000;
const podCidr = knownCidr('10.244.0.0/16');
const firstRemote = ipToInteger(knownIp('11.0.0.0'));
const firstLocal = ipToInteger(knownIp('10.244.0.10'));

/** Pods, namespaces and policies. Every namespace holds some local pods' policies only where a local pod lives. */
export function* policyCluster(size: ClusterSize): Generator<ClusterChange> {
  const namespaces = namespaceCount(size);
  yield { type: 'set', object: benchNodeObject() };
  for (let index = 0; index < namespaces; index++) yield { type: 'set', object: namespaceAt(index) };
  for (let index = 0; index < size.pods; index++) yield { type: 'set', object: remotePod(index, namespaces) };
  for (let index = 0; index < size.localPods; index++) yield { type: 'set', object: localPod(index, namespaces) };
  for (let index = 0; index < size.policies; index++) yield { type: 'set', object: policyAt(index, namespaces) };
}

/** A pod of the node under test; `round` changes one label that selectors look at. */
export function localPod(index: number, namespaces: number, round = 0): Pod {
  const ip = ipFromInteger(firstLocal + BigInt(index), 'ipv4');
  return { ...podAt(index, namespaces, ip, round), name: `local-${index}`, nodeName: benchNode };
}

/** A pod of another node; `round` moves it to another app. */
export function remotePod(index: number, namespaces: number, round = 0): Pod {
  const ip = ipFromInteger(firstRemote + BigInt(index), 'ipv4');
  return {
    ...podAt(index, namespaces, ip, round),
    name: `remote-${index}`,
    nodeName: `node-${1 + (index % remoteNodes)}`,
  };
}

export function namespaceCount(size: ClusterSize): number {
  return size.namespaces ?? Math.max(1, Math.ceil(size.policies / appsPerNamespace));
}

function podAt(index: number, namespaces: number, ip: IpAddress, round: number): Pod {
  const namespace = `customer-${index % namespaces}`;
  const app = (Math.floor(index / namespaces) + round) % appsPerNamespace;
  return {
    kind: 'Pod',
    namespace,
    name: '',
    labels: { app: `app-${app}`, tier: index % 2 === 0 ? 'front' : 'back', 'pod-template-hash': `h${index % 97}` },
    serviceAccount: 'default',
    hostNetwork: false,
    ips: [ip],
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    allowedSources: [],
  };
}

/** Lets app N+1 in on the first of five ports, app N+2 on the second, and so on; `round` moves the ports. */
export function policyAt(index: number, namespaces: number, round = 0): NetworkPolicy {
  const app = Math.floor(index / namespaces) % appsPerNamespace;
  const peer = (path: string, name: string) => ({ kind: 'pods' as const, path, podSelector: selector({ app: name }) });
  return {
    kind: 'NetworkPolicy',
    namespace: `customer-${index % namespaces}`,
    name: `allow-${Math.floor(index / namespaces)}`,
    podSelector: selector({ app: `app-${app}` }),
    isolatesIngress: true,
    isolatesEgress: false,
    ingress: [1, 2, 3, 4, 5].map((step, rule) => ({
      path: `spec.ingress[${rule}]`,
      peers: [peer(`spec.ingress[${rule}].from[0]`, `app-${(app + step) % appsPerNamespace}`)],
      ports: [
        {
          kind: 'range',
          protocol: 'TCP',
          first: firstPort + 10 * round + step,
          last: firstPort + 10 * round + step,
          path: `spec.ingress[${rule}].ports[0]`,
        },
      ],
    })),
    egress: [],
  };
}

function selector(matchLabels: Record<string, string>): LabelSelector {
  return { matchLabels, matchExpressions: [] };
}

function namespaceAt(index: number): Namespace {
  const name = `customer-${index}`;
  return { kind: 'Namespace', name, labels: { 'kubernetes.io/metadata.name': name } };
}

function benchNodeObject(): Node {
  return { kind: 'Node', name: benchNode, labels: {}, addresses: [knownIp('172.31.255.2')], podCidrs: [podCidr] };
}
