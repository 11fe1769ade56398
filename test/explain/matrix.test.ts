import { expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { matrix } from '../../src/explain/matrix.ts';
import type { ClusterState } from '../../src/cluster/state.ts';
import type { Party } from '../../src/explain/names.ts';
import { parseParty } from '../../src/explain/names.ts';
import { clusterOf, endpoints, ingressRule, ip, namespace, node, pod, policy, service } from './cluster-fixture.ts';
import { backend, db, frontend, seedCluster } from './seed-cluster.ts';

test('the seed’s cluster: every pair, each way, oneself included', () => {
  const rows = matrix(clusterOf(seedCluster));
  const short = rows.map(({ from, to, port, protocol, verdict }) => [word(from), word(to), port, protocol, verdict]);
  expect(short).toEqual([
    ['backend', 'backend', 80, 'TCP', 'allowed'],
    ['backend', 'db', 80, 'TCP', 'allowed'],
    ['backend', 'frontend', 80, 'TCP', 'allowed'],
    ['db', 'backend', 80, 'TCP', 'allowed'],
    ['db', 'db', 80, 'TCP', 'allowed'],
    ['db', 'frontend', 80, 'TCP', 'allowed'],
    ['frontend', 'backend', 80, 'TCP', 'allowed'],
    ['frontend', 'db', 80, 'TCP', 'denied'],
    ['frontend', 'frontend', 80, 'TCP', 'allowed'],
  ]);
});

test('narrowed by sender, receiver, namespace and port', () => {
  const model = clusterOf([...seedCluster, namespace('other'), pod('other/x', 'minikube', ['10.88.0.50'])]);
  const ports = [{ port: 53, protocol: 'UDP' }] as const;
  expect(matrix(model, { from: [frontend], to: [db, backend], ports })).toEqual([
    { from: keyOf(frontend), to: keyOf(backend), port: 53, protocol: 'UDP', verdict: 'allowed' },
    { from: keyOf(frontend), to: keyOf(db), port: 53, protocol: 'UDP', verdict: 'denied' },
  ]);
  expect(matrix(model, { namespace: 'other', ports })).toEqual([
    { from: 'other/x', to: 'other/x', port: 53, protocol: 'UDP', verdict: 'allowed' },
  ]);
});

test('Services, nodes, addresses and clients outside, where they are named', () => {
  const plain = service('default/web', '10.96.0.9');
  const ports = plain.ports.map((port) => ({ ...port, nodePort: 30_080 }));
  const web = { ...plain, type: 'NodePort' as const, externalIps: [ip('198.51.100.9')], ports };
  const model = clusterOf([...seedCluster, web, endpoints('default/web', ['10.88.0.26'], 80)]);
  const to = ['svc/web', 'node/minikube', '198.51.100.9', '192.0.2.77'].map((name) => party(model.state, name));
  const rows = matrix(model, { from: [backend, frontend, ...['outside'].map((name) => party(model.state, name))], to });
  expect(rows.map(({ from, to: name, port, verdict }) => `${word(from)} -> ${name}:${port} ${verdict}`)).toEqual([
    'backend -> 198.51.100.9:80 allowed',
    'backend -> node/minikube:30080 allowed',
    'backend -> svc/default/web:80 allowed',
    'frontend -> 198.51.100.9:80 denied',
    'frontend -> node/minikube:30080 denied',
    'frontend -> svc/default/web:80 denied',
    'outside -> 198.51.100.9:80 denied',
    'outside -> node/minikube:30080 denied',
    'outside -> svc/default/web:80 denied',
  ]);
});

test('an ExternalName has the ports of the Service that it stands for', () => {
  const alias = { ...service('default/alias', '10.96.0.8'), type: 'ExternalName', clusterIps: [], ports: [] } as const;
  const to = (externalName: string) => [{ kind: 'service', service: { ...alias, externalName } } as const];
  const web = service('default/web', '10.96.0.9');
  const model = clusterOf([...seedCluster, web, endpoints('default/web', ['10.88.0.27'], 80)]);
  expect(matrix(model, { from: [frontend], to: to('web.default.svc.cluster.local') })).toMatchObject([
    { to: 'svc/default/alias', port: 80, verdict: 'allowed' },
  ]);
  expect(matrix(model, { from: [frontend], to: to('example.org') })).toEqual([]);
});

test('pods that have ended or have no address are not in it; a port named twice is one row', () => {
  const twice = [
    { port: 80, protocol: 'TCP' },
    { port: 80, protocol: 'TCP', name: 'again' },
    { port: 53, protocol: 'UDP' },
  ] as const;
  const model = clusterOf([
    namespace('demo'),
    node('a', ['192.0.2.1'], ['10.88.0.0/24']),
    pod('demo/up', 'a', ['10.88.0.10'], { ports: twice }),
    pod('demo/done', 'a', ['10.88.0.11'], { phase: 'Failed', ports: twice }),
    pod('demo/waiting', 'a', [], { phase: 'Pending', ports: twice }),
  ]);
  expect(matrix(model).map(({ from, to, port }) => [from, to, port])).toEqual([
    ['demo/up', 'demo/up', 53],
    ['demo/up', 'demo/up', 80],
  ]);
});

test('the table says what explain says', () => {
  const model = clusterOf(meshOf(12));
  const pods = model.state.pods;
  for (const { from, to, port, protocol, verdict } of matrix(model)) {
    const [client, server] = [pods.get(from), pods.get(to)];
    if (client === undefined || server === undefined) throw new Error('a row of a pod that is not there');
    const target = { party: { kind: 'pod', pod: server }, port, protocol } as const;
    expect(investigate(model, { from: { kind: 'pod', pod: client }, to: target }).verdict).toBe(verdict);
  }
});

test('two hundred pods to two hundred pods take seconds', { timeout: 60_000 }, () => {
  const rows = matrix(clusterOf(meshOf(200)));
  expect(rows).toHaveLength(40_000);
  expect(rows.filter(({ verdict }) => verdict === 'denied').length).toBeGreaterThan(1000);
});

/** `count` pods on four nodes in twenty groups; every second group admits one other. */
function meshOf(count: number): readonly ClusterObject[] {
  const pods = Array.from({ length: count }, (_, index) => {
    const home = index % 4;
    return pod(`demo/p${index}`, `n${home}`, [`10.88.${home}.${10 + Math.floor(index / 4)}`], {
      labels: { group: String(index % 20) },
      ports: [{ port: 80, protocol: 'TCP' }],
    });
  });
  const policies = Array.from({ length: 10 }, (_, index) =>
    policy(
      `demo/g${index}`,
      { group: String(index * 2) },
      { ingress: [ingressRule(0, { group: String(index * 2 + 1) })] },
    ),
  );
  const nodes = [0, 1, 2, 3].map((index) => node(`n${index}`, [`192.0.2.${index + 1}`], [`10.88.${index}.0/24`]));
  return [namespace('demo'), ...nodes, ...pods, ...policies];
}

function party(state: ClusterState, name: string): Party {
  const parsed = parseParty(name, { state });
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}

function keyOf({ namespace: space, name }: typeof db): string {
  return `${space}/${name}`;
}

function word(key: string): string {
  return key.replace('default/', '').split('-')[0] ?? '';
}
