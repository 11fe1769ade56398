import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { formatCidr } from '../../src/lib/ip.ts';
import type { ClusterDefaults } from '../../src/manifests/defaults.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import type { FilledCluster } from '../../src/manifests/fill.ts';
import { ClusterFiller } from '../../src/manifests/fill.ts';
import { mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import { manifestTexts } from './arbitrary.ts';
import { byIdentity, fill } from './read.ts';

const dualStack = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });

const pod = (name: string, rest = '') =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: {app: web}}\n${rest}\n---\n`;
const node = (name: string, rest = '') => `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}}\n${rest}\n---\n`;
const service = (name: string, spec: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: web}, ports: [{port: 80}], ${spec}}\n---\n`;
const deployment = (name: string, replicas: string) =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\nspec: {${replicas}selector: {}, template: {metadata: {labels: {app: web}}}}\n---\n`;

/** Rounds of one filler. */
class Rounds {
  readonly #filler: ClusterFiller;

  constructor(defaults: ClusterDefaults = clusterDefaults()) {
    this.#filler = new ClusterFiller(defaults);
  }

  fill(text: string): FilledCluster {
    return this.#filler.fill(mergeFiles(new Map([['a.yaml', parseManifest(text, 'a.yaml')]])).objects);
  }

  objects(text: string): Map<string, ClusterObject> {
    return byIdentity(this.fill(text).objects);
  }
}

function warnings(text: string, defaults = clusterDefaults()): readonly string[] {
  const { diagnostics } = new Rounds(defaults).fill(text);
  return diagnostics.map(({ severity, object, message, line }) => `${severity} ${object} ${line ?? '-'}: ${message}`);
}

function ipsOf(objects: ReadonlyMap<string, ClusterObject>): Record<string, readonly string[]> {
  const pods = [...objects.values()].filter((object) => object.kind === 'Pod');
  return Object.fromEntries(pods.map(({ name, ips }) => [name, ips]));
}

test('the values themselves: who changes the hash renumbers everybody', () => {
  const objects = fill(pod('a') + pod('b') + service('web', 'type: NodePort'), dualStack);
  expect(objects.get('Node node-0')).toEqual({
    kind: 'Node',
    name: 'node-0',
    labels: {},
    addresses: ['172.31.255.30', 'fd00:172:31:255::c41e'],
    podCidrs: [
      { family: 'ipv4', address: '10.88.30.0', prefixLength: 24 },
      { family: 'ipv6', address: 'fd00:10:88:c41e::', prefixLength: 64 },
    ],
  });
  expect(ipsOf(objects)).toEqual({
    a: ['10.88.30.17', 'fd00:10:88:c41e::3611'],
    b: ['10.88.30.155', 'fd00:10:88:c41e::d39b'],
  });
  expect(objects.get('Service default/web')).toMatchObject({
    clusterIps: ['10.96.173.233'],
    ports: [{ port: 80, targetPort: 80, nodePort: 30_108 }],
  });
});

test('the order of files does not matter, and filling again changes not even the identity of an object', () => {
  fc.assert(
    fc.property(manifestTexts, (texts) => {
      const files = new Map(texts.map((text, at) => [`${at}.yaml`, parseManifest(text, `${at}.yaml`)]));
      const { objects } = mergeFiles(files);
      const filler = new ClusterFiller(dualStack);
      const first = filler.fill(objects);
      const reversed = new ClusterFiller(dualStack).fill(objects.toReversed());
      expect(byIdentity(reversed.objects)).toEqual(byIdentity(first.objects));
      const again = filler.fill(objects.toReversed());
      const found = byIdentity(again.objects);
      for (const [identity, object] of byIdentity(first.objects)) expect(found.get(identity)).toBe(object);
      expect(found.size).toBe(byIdentity(first.objects).size);
    }),
    { numRuns: 200 },
  );
});

test('what was given stays while the object exists, whatever comes and goes', () => {
  const rounds = new Rounds();
  const names = Array.from({ length: 60 }, (_, at) => `p${at}`);
  const before = ipsOf(
    rounds.objects(
      names
        .slice(30)
        .map((name) => pod(name))
        .join(''),
    ),
  );
  const all = ipsOf(rounds.objects(names.map((name) => pod(name)).join('')));
  expect(all).toMatchObject(before);
  expect(new Set(Object.values(all).flat()).size).toBe(60);
  const few = ipsOf(
    rounds.objects(
      names
        .slice(10, 40)
        .map((name) => pod(name))
        .join(''),
    ),
  );
  for (const name of names.slice(10, 40)) expect(few[name]).toEqual(all[name]);
});

test('a node port and a ClusterIP stay when another Service is added', () => {
  const rounds = new Rounds();
  const before = rounds.objects(service('web', 'type: NodePort')).get('Service default/web');
  const others = Array.from({ length: 300 }, (_, at) => service(`s${at}`, 'type: NodePort')).join('');
  const after = rounds.objects(others + service('web', 'type: NodePort'));
  expect(after.get('Service default/web')).toMatchObject({ ports: before?.kind === 'Service' ? before.ports : [] });
  const services = [...after.values()].filter((object) => object.kind === 'Service');
  expect(new Set(services.map(({ clusterIps }) => clusterIps[0])).size).toBe(301);
  expect(new Set(services.map(({ ports }) => ports[0]?.nodePort)).size).toBe(301);
});

test('a stated address is never given to another', () => {
  const given = ipsOf(fill(pod('a')))['a']?.[0] ?? '';
  const objects = ipsOf(fill(pod('a') + pod('b', `status: {podIP: ${given}}`)));
  expect(objects['b']).toEqual([given]);
  expect(objects['a']).not.toEqual([given]);
});

test('an address that is stated after it was given stays with both, with a warning', () => {
  const rounds = new Rounds();
  const given = ipsOf(rounds.objects(pod('a')))['a']?.[0] ?? '';
  const { objects, diagnostics } = rounds.fill(pod('a') + pod('b', `status: {podIP: ${given}}`));
  expect(ipsOf(byIdentity(objects))).toEqual({ a: [given], b: [given] });
  expect(diagnostics.map(({ object, message }) => `${object}: ${message}`)).toEqual([
    `Pod default/b: ${given} was given to Pod default/a before, which keeps it`,
  ]);
});

test.each([
  [
    'two pods with one address',
    pod('a', 'status: {podIP: 10.0.0.1}') + pod('b', 'status: {podIP: 10.0.0.1}'),
    ['warning Pod default/b 6: 10.0.0.1 is also the address of Pod default/a'],
  ],
  [
    'a finished pod and its successor',
    pod('a', 'status: {podIP: 10.0.0.1, phase: Succeeded}') + pod('b', 'status: {podIP: 10.0.0.1}'),
    [],
  ],
  ['two pods of the node', pod('a', 'spec: {hostNetwork: true}') + pod('b', 'spec: {hostNetwork: true}'), []],
  [
    'two Services with one ClusterIP',
    service('a', 'clusterIP: 10.96.0.9') + service('b', 'clusterIP: 10.96.0.9'),
    ['warning Service default/b 6: 10.96.0.9 is also the ClusterIP of Service default/a'],
  ],
  [
    'no second family',
    service('a', 'ipFamilyPolicy: RequireDualStack'),
    ['error Service default/a 1: RequireDualStack, but only ipv4 is enabled'],
  ],
  [
    'a stated pod of a Deployment',
    deployment('web', 'replicas: 2, ') + pod('web-1'),
    ['warning Deployment default/web 1: Pod default/web-1 is stated by itself and wins over the pod of this name'],
  ],
  [
    'a full node',
    node('n1', 'spec: {podCIDR: 10.0.0.0/30}') + pod('a') + pod('b'),
    [
      'error Pod default/b 11: no pod address is left in 10.0.0.0/30 of Node n1, expected a larger range or one that the file states',
    ],
  ],
])('%s', (_what, text, expected) => {
  expect(warnings(text)).toEqual(expected);
});

test.each([
  ['none', '', undefined, ['node-0']],
  ['none, three wanted', '', 3, ['node-0', 'node-1', 'node-2']],
  ['one stated', node('minikube'), undefined, ['minikube']],
  ['one stated, two wanted', node('minikube'), 2, ['minikube', 'node-0']],
  ['one named by a pod', pod('a', 'spec: {nodeName: n1}'), undefined, ['n1']],
  ['one stated, another named', node('b') + pod('a', 'spec: {nodeName: a}'), undefined, ['a', 'b']],
])('nodes: %s', (_what, text, nodeCount, expected) => {
  const objects = fill(text, clusterDefaults(nodeCount === undefined ? {} : { nodeCount }));
  expect([...objects.values()].filter(({ kind }) => kind === 'Node').map(({ name }) => name)).toEqual(expected);
});

test('a node that was made up stays when a pod names another, so nobody moves', () => {
  const rounds = new Rounds();
  const before = ipsOf(rounds.objects(pod('a')));
  const after = rounds.objects(pod('a') + pod('b', 'spec: {nodeName: other}'));
  expect(ipsOf(after)['a']).toEqual(before['a']);
  expect(after.get('Pod default/a')).toMatchObject({ nodeName: 'node-0' });
});

test('pods are spread over the nodes, and their addresses are of their node', () => {
  const names = Array.from({ length: 40 }, (_, at) => `p${at}`);
  const objects = fill(
    names.map((name) => pod(name)).join(''),
    clusterDefaults({ nodeCount: 3, ipFamilies: ['ipv6'] }),
  );
  const used = new Map<string, number>();
  for (const name of names) {
    const found = objects.get(`Pod default/${name}`);
    if (found?.kind !== 'Pod') throw new Error(`no pod ${name}`);
    const home = objects.get(`Node ${found.nodeName}`);
    if (home?.kind !== 'Node') throw new Error(`no node of ${name}`);
    used.set(home.name, (used.get(home.name) ?? 0) + 1);
    const [cidr] = home.podCidrs.map(formatCidr);
    expect(found.ips).toHaveLength(1);
    expect(cidr).toMatch(/::\/64$/);
    expect(found.ips[0]?.startsWith((cidr ?? '').replace('::/64', '::'))).toBe(true);
  }
  expect(used.size).toBe(3);
});

test.each([
  ['nothing', '', ['10.88.30.17', 'fd00:10:88:c41e::3611']],
  ['one address: the other family is filled in', 'status: {podIP: 10.0.0.1}', ['10.0.0.1', 'fd00:10:88:c41e::3611']],
  ['the second family: the first comes first', 'status: {podIP: "fd00::7"}', ['10.88.30.17', 'fd00::7']],
  ['a list is all of them', 'status: {podIPs: [{ip: 10.0.0.1}]}', ['10.0.0.1']],
  ['an empty list is none', 'status: {podIPs: []}', []],
  ['pending', 'status: {phase: Pending}', []],
  ['pending with an address', 'status: {phase: Pending, podIP: 10.0.0.1}', ['10.0.0.1']],
  ['finished', 'status: {phase: Succeeded}', ['10.88.30.17', 'fd00:10:88:c41e::3611']],
  ['in the network of the node', 'spec: {hostNetwork: true}', ['172.31.255.30', 'fd00:172:31:255::c41e']],
])('addresses of a pod that states %s', (_what, rest, expected) => {
  expect(fill(pod('a', rest), dualStack).get('Pod default/a')).toMatchObject({ ips: expected });
});

test('pods of a Deployment', () => {
  const objects = fill(
    deployment('web', 'replicas: 2, ') + deployment('one', '') + deployment('none', 'replicas: 0, '),
  );
  const pods = [...objects.values()].filter((object) => object.kind === 'Pod');
  expect(pods.map(({ name, deployment: owner }) => [name, owner])).toEqual([
    ['one-0', 'one'],
    ['web-0', 'web'],
    ['web-1', 'web'],
  ]);
  expect(pods[0]).toMatchObject({ labels: { app: 'web' }, serviceAccount: 'default', phase: 'Running', ready: true });
});

test.each([
  ['the primary family', '', 1],
  ['both by PreferDualStack', 'ipFamilyPolicy: PreferDualStack', 2],
  ['the one that is named', 'ipFamilies: [IPv6]', 1],
  ['both by name and policy', 'ipFamilies: [IPv6, IPv4], ipFamilyPolicy: RequireDualStack', 2],
  ['none for a headless Service', 'clusterIP: None', 0],
])('ClusterIPs: %s', (_what, spec, count) => {
  const found = fill(service('web', spec), dualStack).get('Service default/web');
  if (found?.kind !== 'Service') throw new Error('no Service');
  expect(found.clusterIps).toHaveLength(count);
  if (spec.includes('[IPv6')) expect(found.clusterIps[0]).toMatch(/^fd00:10:96::/);
});

test.each([
  ['type: ClusterIP', [false, false]],
  ['type: NodePort', [true, false]],
  ['type: LoadBalancer', [true, false]],
  ['type: LoadBalancer, allocateLoadBalancerNodePorts: false', [false, false]],
  ['type: LoadBalancer, externalTrafficPolicy: Local', [true, true]],
  ['type: NodePort, externalTrafficPolicy: Local', [true, false]],
])('node port and health check port of %s', (spec, expected) => {
  const found = fill(service('web', spec)).get('Service default/web');
  if (found?.kind !== 'Service') throw new Error('no Service');
  const numbers = [found.ports[0]?.nodePort ?? 0, found.healthCheckNodePort];
  expect(numbers.map((number) => number >= 30_000 && number <= 32_767)).toEqual(expected);
  expect(new Set(numbers).size).toBe(expected[0] === expected[1] && !expected[0] ? 1 : 2);
});

test('a namespace that is only named exists, and the label of its name is always right', () => {
  const text = `apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {kubernetes.io/metadata.name: lie, a: b}}\n`;
  const objects = fill(text);
  expect(objects.get('Namespace shop')).toEqual({
    kind: 'Namespace',
    name: 'shop',
    labels: { 'kubernetes.io/metadata.name': 'shop' },
  });
  expect(objects.get('Namespace x')).toMatchObject({ labels: { 'kubernetes.io/metadata.name': 'x', a: 'b' } });
  expect(objects.has('Namespace default')).toBe(false);
});

test('far more nodes than the ranges have room for: each is told, and it takes no time', () => {
  const nodes = Array.from({ length: 1000 }, (_, index) => node(`many-${index}`));
  const started = performance.now();
  const { objects, diagnostics } = new Rounds(dualStack).fill(nodes.join(''));
  // The search through a full range, for each node anew, took minutes.
  expect(performance.now() - started).toBeLessThan(10_000);
  const filled = objects.filter((object) => object.kind === 'Node');
  expect(filled.filter(({ addresses }) => addresses.some((address) => !address.includes(':')))).toHaveLength(253);
  expect(filled.filter(({ podCidrs }) => podCidrs.some(({ family }) => family === 'ipv4'))).toHaveLength(256);
  expect(diagnostics.filter(({ message }) => message.startsWith('no node address is left in'))).toHaveLength(747);
});

test('ClusterIPs come from the ServiceCIDRs that are stated, the next one when one is full', () => {
  const range = (name: string, ...cidrs: readonly string[]) =>
    `---\napiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: ${name}}\nspec: {cidrs: [${cidrs.join()}]}\n`;
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const text = names.map((name) => service(name, 'ipFamilyPolicy: PreferDualStack')).join('');
  const ranges = range('one', '10.200.0.0/29') + range('two', '10.201.0.0/24');
  const objects = fill(text + ranges, clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] }));
  const given = names.flatMap((name) => {
    const object = objects.get(`Service default/${name}`);
    return object?.kind === 'Service' ? [object.clusterIps] : [];
  });
  const inRange = (prefix: string) => given.filter(([first]) => first?.startsWith(prefix)).length;
  expect([inRange('10.200.0.'), inRange('10.201.0.')]).toEqual([5, 2]);
  expect(given.every(([, second]) => second?.startsWith('fd00:10:96::'))).toBe(true);
});
