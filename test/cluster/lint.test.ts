import { describe, expect, test } from 'vitest';
import { lintCluster } from '../../src/cluster/lint.ts';
import type {
  ClusterObject,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Service,
} from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { endpoint, service as serviceFixture, slice as sliceFixture } from '../service/fixtures.ts';
import { cidr } from '../addresses.ts';

const ranges = { podCidrs: [cidr('10.88.0.0/16')], serviceCidrs: [cidr('10.96.0.0/16')] };

const all: LabelSelector = { matchLabels: {}, matchExpressions: [] };
const app = (name: string): LabelSelector => ({ matchLabels: { app: name }, matchExpressions: [] });

function pod(name: string, choices: Partial<Pod> = {}): Pod {
  return {
    kind: 'Pod',
    namespace: 'default',
    name,
    labels: { app: name },
    serviceAccount: 'default',
    hostNetwork: false,
    ips: [],
    phase: 'Running',
    terminating: false,
    ready: true,
    ports: [],
    allowedSources: [],
    ...choices,
  };
}

function namespace(name: string, labels: Labels = {}): Namespace {
  return { kind: 'Namespace', name, labels: { 'kubernetes.io/metadata.name': name, ...labels } };
}

function policy(name: string, choices: Partial<NetworkPolicy>): NetworkPolicy {
  return {
    kind: 'NetworkPolicy',
    namespace: 'default',
    name,
    podSelector: all,
    isolatesIngress: true,
    isolatesEgress: choices.egress !== undefined,
    ingress: [],
    egress: [],
    ...choices,
  };
}

/** One rule with one peer, whose paths are those of a first rule. */
function from(peer: Partial<PolicyPeer> & Pick<PolicyPeer, 'kind'>): readonly PolicyRule[] {
  const path = 'spec.ingress[0].from[0]';
  if (peer.kind === 'pods') return [{ path: 'spec.ingress[0]', peers: [{ ...peer, kind: 'pods', path }] }];
  const block = { except: [], cidr: cidr('0.0.0.0/0'), ...peer, kind: 'ipBlock', path } as const;
  return [{ path: 'spec.ingress[0]', peers: [block] }];
}

function lint(...objects: readonly ClusterObject[]): readonly string[] {
  const store = new ClusterStore();
  store.apply([namespace('default'), ...objects].map((object) => ({ type: 'set', object })));
  return lintCluster(store, ranges).map(({ severity, object, path, message }) => {
    expect(severity).toBe('warning');
    return `${object} ${path}: ${message}`;
  });
}

const p = 'NetworkPolicy default/p';

test('a policy that is as it should be', () => {
  const ingress = from({ kind: 'pods', podSelector: app('web') });
  expect(lint(pod('db'), pod('web'), policy('p', { podSelector: app('db'), ingress }))).toEqual([]);
});

test.each<[string, Partial<NetworkPolicy>, string]>([
  ['no pod is selected', { podSelector: app('nobody') }, 'spec.podSelector: selects no pod of namespace default'],
  [
    'no pod is a peer',
    { ingress: from({ kind: 'pods', podSelector: app('nobody') }) },
    'spec.ingress[0].from[0].podSelector: matches no pod',
  ],
  [
    'the peer is in another namespace',
    { ingress: from({ kind: 'pods', podSelector: app('far') }) },
    'spec.ingress[0].from[0].podSelector: matches no pod',
  ],
  [
    'no namespace is a peer',
    { ingress: from({ kind: 'pods', namespaceSelector: app('nobody') }) },
    'spec.ingress[0].from[0].namespaceSelector: matches no namespace',
  ],
  [
    'the namespace has no pods',
    { ingress: from({ kind: 'pods', namespaceSelector: app('empty') }) },
    'spec.ingress[0].from[0].namespaceSelector: matches no pod',
  ],
])('a selector that matches nothing: %s', (_what, choices, expected) => {
  const far = pod('far', { namespace: 'shop' });
  const cluster = [pod('db'), far, namespace('shop'), namespace('empty', { app: 'empty' })];
  expect(lint(...cluster, policy('p', choices))).toEqual([`${p} ${expected}`]);
});

test('a Service that selects nothing', () => {
  const service: Service = {
    kind: 'Service',
    namespace: 'default',
    name: 'web',
    labels: {},
    type: 'ClusterIP',
    clusterIps: [],
    headless: false,
    externalIps: [],
    loadBalancerIngress: [],
    loadBalancerSourceRanges: [],
    ports: [],
    selector: { app: 'web' },
    externalTrafficPolicy: 'Cluster',
    internalTrafficPolicy: 'Cluster',
    healthCheckNodePort: 0,
    publishNotReadyAddresses: false,
  };
  expect(lint(service)).toEqual(['Service default/web spec.selector: selects no pod of namespace default']);
  expect(lint(service, pod('web'))).toEqual([]);
  const { selector: _selector, ...bare } = service;
  expect(lint(bare)).toEqual([]);
});

test('a named target port that no selected pod has', () => {
  const http = (name: string) => [{ name, port: 8080, protocol: 'TCP' } as const];
  const service = serviceFixture('default/web', {
    selector: { app: 'web' },
    ports: [
      { name: 'a', targetPort: 'http' },
      { name: 'b', port: 81, targetPort: 8080 },
    ],
  });
  const said = [
    'Service default/web spec.ports[0].targetPort: no pod that spec.selector selects has a TCP port called http',
  ];
  expect(lint(service, pod('web', { ports: http('https') }))).toEqual(said);
  expect(lint(service, pod('web', { ports: http('http') }))).toEqual([]);
  const udp = [{ name: 'http', port: 8080, protocol: 'UDP' } as const];
  expect(lint(service, pod('web', { ports: udp }))).toEqual(said);
});

test('a slice of a Service that there is not', () => {
  const slice = sliceFixture('default/web', [endpoint('10.1.0.1')]);
  expect(lint(slice)).toEqual([
    `EndpointSlice default/${slice.name} metadata.labels.kubernetes.io/service-name: no Service is called default/web: nobody reaches the slice's endpoints`,
  ]);
  expect(lint(slice, serviceFixture('default/web'))).toEqual([]);
  expect(lint({ ...slice, service: '' })).toEqual([]);
});

test.each<[string, Partial<NetworkPolicy>, readonly string[]]>([
  [
    'as a peer',
    { ingress: from({ kind: 'pods', podSelector: app('host') }) },
    [
      "spec.ingress[0].from[0].podSelector: matches Pod default/host, with hostNetwork: its packets come from the node's address and match no pod peer",
    ],
  ],
  ['among all pods as peers', { ingress: from({ kind: 'pods', podSelector: all }) }, []],
  [
    'as a subject',
    { podSelector: app('host') },
    ['spec.podSelector: selects Pod default/host, with hostNetwork: no policy applies to it'],
  ],
  ['among all pods as subjects', { podSelector: all }, []],
])('hostNetwork: %s', (_what, choices, expected) => {
  const found = lint(pod('web'), pod('host', { hostNetwork: true }), policy('p', choices));
  expect(found).toEqual(expected.map((line) => `${p} ${line}`));
});

const overlapsPods = (text: string) => `${text} overlaps the pod CIDR 10.88.0.0/16: it matches pods, whoever they are`;
const overlapsServices = (text: string) =>
  `${text} overlaps the Service CIDR 10.96.0.0/16: policies see the address of the pod behind a Service`;

test.each<[string, readonly string[], readonly string[]]>([
  ['192.0.2.0/24', [], []],
  ['10.88.3.0/24', [], [overlapsPods('10.88.3.0/24')]],
  ['10.96.0.10/32', [], [overlapsServices('10.96.0.10/32')]],
  ['10.0.0.0/8', [], [overlapsPods('10.0.0.0/8'), overlapsServices('10.0.0.0/8')]],
  ['0.0.0.0/0', ['10.88.0.0/16'], [overlapsServices('0.0.0.0/0')]],
  ['0.0.0.0/0', ['10.0.0.0/8'], []],
  ['0.0.0.0/0', ['10.88.0.0/17', '10.96.0.0/16'], [overlapsPods('0.0.0.0/0')]],
  ['fd00::/8', [], []],
])('ipBlock %s except %j', (block, except, expected) => {
  const ingress = from({ kind: 'ipBlock', cidr: cidr(block), except: except.map(cidr) });
  expect(lint(pod('db'), policy('p', { ingress }))).toEqual(
    expected.map((message) => `${p} spec.ingress[0].from[0].ipBlock.cidr: ${message}`),
  );
});

const http = (port: number): Partial<Pod> => ({ ports: [{ name: 'http', port, protocol: 'TCP' }] });
const namedPort: PolicyPort = { kind: 'named', protocol: 'TCP', name: 'http', path: 'spec.ingress[0].ports[0]' };

test.each<[string, readonly Pod[], readonly string[]]>([
  ['one number', [pod('a', http(80)), pod('b', http(80)), pod('c')], []],
  ['two numbers', [pod('a', http(8080)), pod('b', http(80))], ['http is 80, 8080 on different pods']],
  ['no number', [pod('a')], ['no pod there has a TCP port named http, nothing is allowed']],
  [
    'another protocol',
    [pod('a', { ports: [{ name: 'http', port: 80, protocol: 'UDP' }] })],
    ['no pod there has a TCP port named http, nothing is allowed'],
  ],
])('a named port that means %s', (_what, pods, expected) => {
  const ingress = [{ path: 'spec.ingress[0]', ports: [namedPort] }];
  expect(lint(...pods, policy('p', { ingress }))).toEqual(
    expected.map((message) => `${p} spec.ingress[0].ports[0].port: ${message}`),
  );
});

test('a named port of an egress rule is one of the peers', () => {
  const peers: readonly PolicyPeer[] = [{ kind: 'pods', path: 'spec.egress[0].to[0]', podSelector: app('b') }];
  const egress = [{ path: 'spec.egress[0]', peers, ports: [{ ...namedPort, path: 'spec.egress[0].ports[0]' }] }];
  const found = lint(pod('a', http(1)), pod('b', http(80)), policy('p', { podSelector: app('a'), egress }));
  expect(found.filter((line) => line.includes('ports'))).toEqual([]);
});

const noDns = 'no policy allows Pod default/a to reach DNS (UDP 53): names will not resolve there';
const toPort = (protocol: PolicyPort['protocol'], first: number, last = first): PolicyRule => ({
  path: 'spec.egress[0]',
  ports: [{ kind: 'range', protocol, first, last, path: 'spec.egress[0].ports[0]' }],
});
const toPods = (peer: Omit<Extract<PolicyPeer, { kind: 'pods' }>, 'kind' | 'path'>): PolicyRule => ({
  path: 'spec.egress[0]',
  peers: [{ kind: 'pods', path: 'spec.egress[0].to[0]', ...peer }],
});
const kubeSystem: LabelSelector = { ...all, matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } };

test.each<[string, readonly PolicyRule[], boolean]>([
  ['a port alone', [toPort('TCP', 443)], true],
  ['DNS over TCP alone', [toPort('TCP', 53)], true],
  ['DNS', [toPort('TCP', 443), toPort('UDP', 53)], false],
  ['a range with DNS', [toPort('UDP', 1, 100)], false],
  ['everything', [{ path: 'spec.egress[0]' }], false],
  ['nothing at all, which is meant so', [], false],
  ['pods of its own namespace', [toPods({ podSelector: all })], true],
  ['the DNS namespace', [toPods({ namespaceSelector: kubeSystem })], false],
  [
    'the DNS pods',
    [toPods({ namespaceSelector: all, podSelector: { ...all, matchLabels: { 'k8s-app': 'kube-dns' } } })],
    false,
  ],
  ['other pods there', [toPods({ namespaceSelector: kubeSystem, podSelector: app('x') })], true],
])('egress to %s', (_what, egress, isWarned) => {
  const cluster = [pod('a'), namespace('kube-system'), pod('x', { namespace: 'kube-system' })];
  const dns = pod('dns', { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } });
  const found = lint(...cluster, dns, policy('p', { egress, isolatesEgress: true }));
  expect(found).toEqual(isWarned ? [`${p} spec.egress: ${noDns}`] : []);
});

test('DNS may be allowed by another policy that selects the same pods', () => {
  const limited = policy('p', { podSelector: app('a'), egress: [toPort('TCP', 443)] });
  const dns = policy('dns', { egress: [toPort('UDP', 53)] });
  expect(lint(pod('a'), limited, dns)).toEqual([]);
  expect(lint(pod('a'), pod('b'), limited, { ...dns, podSelector: app('b') })).toEqual([`${p} spec.egress: ${noDns}`]);
});

test('the line of the field is named', () => {
  const store = new ClusterStore();
  const location = { file: 'p.yaml', line: 1, lines: new Map([['spec.podSelector', 6]]) };
  store.apply([{ type: 'set', object: { ...policy('p', { podSelector: app('nobody') }), location } }]);
  expect(lintCluster(store, ranges)).toEqual([
    {
      severity: 'warning',
      object: p,
      message: 'selects no pod of namespace default',
      path: 'spec.podSelector',
      file: 'p.yaml',
      line: 6,
    },
  ]);
});

describe('ServiceCIDRs', () => {
  const range = (name: string, ...cidrs: readonly string[]): ClusterObject => ({
    kind: 'ServiceCIDR',
    name,
    labels: {},
    cidrs: cidrs.map(cidr),
  });
  const service = serviceFixture('ns/web', { clusterIps: ['10.43.0.9', 'fd00:43::9'] });

  test('a ClusterIP outside of all of them', () => {
    const outside = '10.43.0.9 is outside of every ServiceCIDR (10.96.0.0/16, fd00:43::/112, 10.97.0.0/24)';
    expect(lint(service, range('kubernetes', '10.96.0.0/16', 'fd00:43::/112'), range('more', '10.97.0.0/24'))).toEqual([
      `Service ns/web spec.clusterIP: ${outside}`,
    ]);
  });

  test('inside of any of them, or where none is stated, nothing is said', () => {
    expect(lint(service, range('a', '10.96.0.0/16', 'fd00:43::/112'), range('b', '10.43.0.0/24'))).toEqual([]);
    expect(lint(service)).toEqual([]);
  });

  test('an ipBlock is held against what is stated, not against the defaults', () => {
    const block = (text: string) => policy('p', { ingress: from({ kind: 'ipBlock', cidr: cidr(text) }) });
    const kubernetes = range('kubernetes', '10.43.0.0/16');
    expect(lint(pod('p'), block('10.96.0.0/24'), kubernetes)).toEqual([]);
    expect(lint(pod('p'), block('10.43.1.0/24'), kubernetes)).toEqual([
      expect.stringContaining('10.43.1.0/24 overlaps the Service CIDR 10.43.0.0/16'),
    ]);
  });
});
