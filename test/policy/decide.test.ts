import { describe, expect, test } from 'vitest';
import type { LabelSelector, Pod } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { PolicyDecider } from '../../src/policy/decide.ts';
import { Cluster, block, empty, expressions, labels, named, namespace, pod, pods, policy, rule } from './objects.ts';

const http = { name: 'http', port: 80, protocol: 'TCP' } as const;

/** A policy of namespace a that lets in what `peer` says; `a/db` is the local pod that makes it active. */
function allowing(podSelector?: LabelSelector, namespaceSelector?: LabelSelector) {
  return policy('a/p', {
    podSelector: labels({ app: 'db' }),
    ingress: [rule([pods(podSelector, namespaceSelector)])],
  });
}

const db = pod('a/db', { labels: { app: 'db' }, ips: ['10.0.0.1'] });
const remote = { node: 'node-b' };

describe('which pods a peer selects', () => {
  const crowd = [
    db,
    pod('a/web', { ...remote, labels: { app: 'web', tier: 'front' }, ips: ['10.0.1.1'] }),
    pod('b/web', { ...remote, labels: { app: 'web' }, ips: ['10.0.1.2'] }),
    pod('b/job', { ...remote, labels: { app: 'job' }, ips: ['10.0.1.3'] }),
    pod('c/web', { ...remote, labels: { app: 'web', canary: '' }, ips: ['10.0.1.4'] }),
    namespace('a', { team: 'x' }),
    namespace('b', { team: 'y' }),
  ];
  test.each<[string, LabelSelector | undefined, LabelSelector | undefined, readonly string[]]>([
    ['podSelector alone: own namespace', labels({ app: 'web' }), undefined, ['10.0.1.1']],
    ['an empty podSelector: all of the own namespace', empty, undefined, ['10.0.0.1', '10.0.1.1']],
    ['namespaceSelector alone: all pods there', undefined, labels({ team: 'y' }), ['10.0.1.2', '10.0.1.3']],
    ['both: AND', labels({ app: 'web' }), labels({ team: 'y' }), ['10.0.1.2']],
    [
      'an empty namespaceSelector: every namespace',
      labels({ app: 'web' }),
      empty,
      ['10.0.1.1', '10.0.1.2', '10.0.1.4'],
    ],
    ['a namespace without an object', undefined, labels({ 'kubernetes.io/metadata.name': 'c' }), ['10.0.1.4']],
    [
      'no team also for want of an object',
      undefined,
      expressions({ key: 'team', operator: 'DoesNotExist', values: [] }),
      ['10.0.1.4'],
    ],
    [
      'In',
      expressions({ key: 'app', operator: 'In', values: ['web', 'job'] }),
      labels({ team: 'y' }),
      ['10.0.1.2', '10.0.1.3'],
    ],
    ['In of nothing', expressions({ key: 'app', operator: 'In', values: [] }), empty, []],
    [
      'NotIn, also where the label is absent',
      expressions({ key: 'tier', operator: 'NotIn', values: ['front'] }),
      undefined,
      ['10.0.0.1'],
    ],
    [
      'Exists, also with an empty value',
      expressions({ key: 'canary', operator: 'Exists', values: [] }),
      empty,
      ['10.0.1.4'],
    ],
    ['DoesNotExist', expressions({ key: 'tier', operator: 'DoesNotExist', values: [] }), undefined, ['10.0.0.1']],
    [
      'labels and expressions: AND',
      {
        matchLabels: { app: 'web' },
        matchExpressions: [{ key: 'canary', operator: 'DoesNotExist', values: [] }],
      },
      empty,
      ['10.0.1.1', '10.0.1.2'],
    ],
    [
      'a key that every object inherits',
      expressions({ key: 'constructor', operator: 'Exists', values: [] }),
      empty,
      [],
    ],
  ])('%s', (_name, podSelector, namespaceSelector, expected) => {
    expect(new Cluster(...crowd, allowing(podSelector, namespaceSelector)).members()).toEqual(expected);
  });
});

describe('which pods have members and endpoints', () => {
  const all = policy('a/p', { ingress: [rule([pods(empty)])] });
  const other = { ...remote, ips: ['10.0.1.1'] };
  test.each<[string, Pod, readonly string[]]>([
    ['running', pod('a/x', other), ['10.0.0.1', '10.0.1.1']],
    ['pending with an address', pod('a/x', other, { phase: 'Pending' }), ['10.0.0.1', '10.0.1.1']],
    ['unknown phase', pod('a/x', other, { phase: 'Unknown' }), ['10.0.0.1', '10.0.1.1']],
    ['terminating', pod('a/x', other, { terminating: true }), ['10.0.0.1', '10.0.1.1']],
    ['not ready', pod('a/x', other, { ready: false }), ['10.0.0.1', '10.0.1.1']],
    ['succeeded', pod('a/x', other, { phase: 'Succeeded' }), ['10.0.0.1']],
    ['failed', pod('a/x', other, { phase: 'Failed', terminating: true }), ['10.0.0.1']],
    ['hostNetwork', pod('a/x', other, { hostNetwork: true }), ['10.0.0.1']],
    ['without an address', pod('a/x', remote), ['10.0.0.1']],
  ])('a remote pod: %s', (_name, given, members) => {
    expect(new Cluster(db, given, all).members()).toEqual(members);
  });

  test.each<[string, Partial<Pod>, boolean]>([
    ['running', {}, true],
    ['terminating', { terminating: true }, true],
    ['of another node', { nodeName: 'node-b' }, false],
    ['succeeded', { phase: 'Succeeded' }, false],
    ['hostNetwork', { hostNetwork: true }, false],
    ['without an address', { ips: [] }, false],
  ])('an endpoint: %s', (_name, overrides, expected) => {
    const { plan } = new Cluster(pod('a/x', { ips: ['10.0.0.9'] }, overrides), all);
    expect([plan.endpoints.has('a/x'), plan.policies.has('a/knp.default.p')]).toEqual([expected, expected]);
  });

  test('both families, each in its own set', () => {
    const dual = pod('a/x', { ips: ['10.0.0.9', 'fd00::9'] });
    const cluster = new Cluster(dual, all);
    expect([cluster.members('ipv4'), cluster.members('ipv6')]).toEqual([['10.0.0.9'], ['fd00::9']]);
  });

  test('a family that is not enabled has no sets, and no endpoints of its own', () => {
    const store = new ClusterStore();
    const decider = new PolicyDecider(store, { nodeName: 'node-a', ipFamilies: ['ipv4'] });
    const objects = [db, pod('a/six', { ips: ['fd00::9'] }), all];
    decider.apply(store.apply(objects.map((object) => ({ type: 'set', object }))));
    expect([...decider.plan.ipSets.values()].map((set) => set.family)).toEqual(['ipv4']);
    expect([...decider.plan.endpoints.keys()]).toEqual(['a/db']);
  });
});

describe('endpoints', () => {
  test('policies by id in each direction that they isolate', () => {
    const { plan } = new Cluster(
      db,
      policy('a/z', { ingress: [] }),
      policy('a/b', { ingress: [], egress: [] }),
      policy('a/m', { egress: [], isolatesIngress: false }),
      policy('a/x', { podSelector: labels({ app: 'web' }) }),
      policy('b/b', {}),
    );
    expect(plan.endpoints.get('a/db')).toEqual({
      key: 'a/db',
      pod: db,
      ingress: ['a/knp.default.b', 'a/knp.default.z'],
      egress: ['a/knp.default.b', 'a/knp.default.m'],
      profiles: ['kns.a', 'ksa.a.default'],
    });
    expect([...plan.policies.keys()].sort()).toEqual(['a/knp.default.b', 'a/knp.default.m', 'a/knp.default.z']);
  });

  test('a direction that a policy does not isolate is absent, and its sets are nobody’s', () => {
    const { plan } = new Cluster(
      db,
      policy('a/p', { isolatesEgress: false, egress: [rule([pods(empty)])], ingress: [] }),
    );
    expect(plan.policies.get('a/knp.default.p')).not.toHaveProperty('egress');
    expect(plan.ipSets.size).toBe(0);
  });

  test('a policy that selects no local pod costs no set', () => {
    const elsewhere = pod('a/db', { ...remote, labels: { app: 'db' }, ips: ['10.0.0.1'] });
    const { plan } = new Cluster(elsewhere, allowing(empty));
    expect([plan.policies.size, plan.ipSets.size]).toEqual([0, 0]);
  });

  test('profiles are counted', () => {
    const cluster = new Cluster(db, pod('a/x', { ips: ['10.0.0.2'] }, { serviceAccount: 'x' }));
    expect([...cluster.plan.profiles]).toEqual([
      ['kns.a', 2],
      ['ksa.a.default', 1],
      ['ksa.a.x', 1],
    ]);
    expect([...cluster.delete('Pod', 'a/db').profiles]).toEqual([['ksa.a.default', false]]);
    expect([...cluster.delete('Pod', 'a/x').profiles]).toEqual([
      ['kns.a', false],
      ['ksa.a.x', false],
    ]);
  });
});

describe('named ports', () => {
  test('the same name is another number on another pod; ports of other protocols and names are left out', () => {
    const cluster = new Cluster(
      db,
      pod('b/one', { ...remote, ips: ['10.0.1.1', 'fd00::1'], ports: [http] }),
      pod('b/two', {
        ...remote,
        ips: ['10.0.1.2'],
        ports: [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { name: 'http', port: 53, protocol: 'UDP' },
          { name: 'admin', port: 9, protocol: 'TCP' },
          { port: 7, protocol: 'TCP' },
        ],
      }),
      policy('a/p', {
        egress: [rule([pods(undefined, labels({ 'kubernetes.io/metadata.name': 'b' }))], [named('http')])],
      }),
    );
    expect(cluster.members()).toEqual(['10.0.1.1,tcp:80', '10.0.1.2,tcp:8080']);
    expect(cluster.members('ipv6')).toEqual(['fd00::1,tcp:80']);
  });

  test('of egress to a block: every pod of the cluster', () => {
    const cluster = new Cluster(
      db,
      pod('b/one', { ...remote, ips: ['10.0.1.1'], ports: [http] }),
      policy('a/p', { egress: [rule([block('10.0.0.0/8')], [named('http')])] }),
    );
    expect(cluster.members()).toEqual(['10.0.1.1,tcp:80']);
    expect([...cluster.plan.ipSets.values()].map((set) => [set.type, set.origin.note])).toEqual([
      ['hash:ip,port', 'all(), named port http/tcp'],
      ['hash:ip,port', 'all(), named port http/tcp'],
    ]);
  });
});
