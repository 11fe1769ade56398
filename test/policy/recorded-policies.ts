/** The policies that Felix was run with, read into our objects, and the cluster that it was run on. */
import type {
  LabelOperator,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Protocol,
} from '../../src/cluster/objects.ts';
import { felixVectors } from '../vectors/felix.ts';
import { cidr, namespace, pod } from './objects.ts';

interface K8sSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: LabelOperator;
    readonly values?: readonly string[];
  }[];
}

interface K8sPeer {
  readonly podSelector?: K8sSelector;
  readonly namespaceSelector?: K8sSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface K8sPort {
  readonly protocol?: Protocol;
  readonly port?: number | string;
  readonly endPort?: number;
}

interface K8sRule {
  readonly from?: readonly K8sPeer[];
  readonly to?: readonly K8sPeer[];
  readonly ports?: readonly K8sPort[];
}

interface K8sPolicy {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly podSelector: K8sSelector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly K8sRule[];
    readonly egress?: readonly K8sRule[];
  };
}

export interface RecordedCase {
  readonly name: string;
  readonly k8sNetworkPolicies: readonly K8sPolicy[];
  readonly calicoV3Policies: readonly {
    readonly name: string;
    readonly namespace: string;
    readonly order: number;
    readonly selector: string;
    readonly types: readonly string[];
    readonly ingress: readonly unknown[] | null;
    readonly egress: readonly unknown[] | null;
    readonly felixModelKey: string;
  }[];
  readonly endpointProfileIDs: readonly string[];
  readonly endpointTiers?: readonly {
    readonly ingress_policies?: readonly string[];
    readonly egress_policies?: readonly string[];
  }[];
  readonly ipSets:
    | readonly { readonly kernelType: string; readonly members: readonly string[]; readonly v4Name: string }[]
    | null;
}

export const recordedCases = felixVectors<{ readonly cases: readonly RecordedCase[] }>('policies-v3.28.5.json').cases;

/** Pods that the vectors' notes and set members describe; default/db-0 is the recorded endpoint. */
export const recordedCluster: readonly (Pod | Namespace)[] = [
  namespace('default'),
  namespace('frontend', { team: 'web', env: 'prod' }),
  namespace('monitoring', { team: 'sre', env: 'prod' }),
  namespace('dev', { team: 'web', env: 'dev' }),
  pod('default/db-0', {
    labels: { app: 'db' },
    ips: ['10.65.0.2'],
    ports: [
      { name: 'pg', port: 5432, protocol: 'TCP' },
      { name: 'metrics', port: 9187, protocol: 'TCP' },
    ],
  }),
  pod('default/client-2', { labels: { app: 'client' }, ips: ['10.65.0.3'] }),
  pod('default/client-1', {
    labels: { app: 'client', 'networking/allow-db-access': 'true' },
    ips: ['10.65.1.2'],
    node: 'node-b',
  }),
  pod('frontend/web-1', {
    labels: { app: 'web', tier: 'frontend' },
    ips: ['10.65.1.3'],
    node: 'node-b',
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  }),
  pod('monitoring/dns-0', { labels: { 'k8s-app': 'kube-dns' }, ips: ['10.65.1.4'], node: 'node-b' }),
  pod('frontend/web-2', {
    labels: { app: 'web', tier: 'frontend' },
    ips: ['10.65.2.3'],
    node: 'node-c',
    ports: [{ name: 'http', port: 8000, protocol: 'TCP' }],
  }),
  pod('monitoring/prom-0', { labels: { app: 'prom' }, ips: ['10.65.2.4'], node: 'node-c' }),
  pod('dev/web-dev', {
    labels: { app: 'web', tier: 'frontend' },
    ips: ['10.65.2.5'],
    node: 'node-c',
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  }),
];

/** As a source reads it: defaults filled in, and a rule that cannot be read left out. */
export function readPolicy({ metadata, spec }: K8sPolicy): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    ...metadata,
    podSelector: readSelector(spec.podSelector),
    isolatesIngress: spec.policyTypes?.includes('Ingress') ?? true,
    isolatesEgress: spec.policyTypes?.includes('Egress') ?? spec.egress !== undefined,
    ingress: (spec.ingress ?? []).flatMap((rule) => readRule(rule.from, rule.ports)),
    egress: (spec.egress ?? []).flatMap((rule) => readRule(rule.to, rule.ports)),
  };
}

function readRule(peers: readonly K8sPeer[] | undefined, ports: readonly K8sPort[] | undefined): PolicyRule[] {
  const read = ports?.map(readPort);
  if (read?.includes(undefined) === true) return [];
  const readable = read?.filter((port) => port !== undefined);
  return [
    {
      path: 'spec.rule',
      ...(peers === undefined ? {} : { peers: peers.map(readPeer) }),
      ...(readable === undefined ? {} : { ports: readable }),
    },
  ];
}

function readPeer({ ipBlock, podSelector, namespaceSelector }: K8sPeer): PolicyPeer {
  const path = 'spec.rule.peer';
  if (ipBlock !== undefined) {
    return { kind: 'ipBlock', path, cidr: cidr(ipBlock.cidr), except: (ipBlock.except ?? []).map(cidr) };
  }
  return {
    kind: 'pods',
    path,
    ...(podSelector === undefined ? {} : { podSelector: readSelector(podSelector) }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector: readSelector(namespaceSelector) }),
  };
}

function readPort({ protocol = 'TCP', port, endPort }: K8sPort): PolicyPort | undefined {
  const path = 'spec.rule.port';
  if (port === undefined) return { kind: 'any', protocol, path };
  if (typeof port === 'number') return { kind: 'range', protocol, first: port, last: endPort ?? port, path };
  return /^[a-z0-9-]{1,15}$/.test(port) ? { kind: 'named', protocol, name: port, path } : undefined;
}

function readSelector({ matchLabels = {}, matchExpressions = [] }: K8sSelector): LabelSelector {
  return { matchLabels, matchExpressions: matchExpressions.map((entry) => ({ values: [], ...entry })) };
}
