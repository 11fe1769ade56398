import { expect, test } from 'vitest';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import { isSamePod, planLab } from '../../src/lab/plan.ts';
import { clusterOf, node, pod } from './cluster.ts';

const options: LabOptions = { ...labDefaults, directory: '/manifests', name: 'unit' };
const dual: LabOptions = { ...options, ipFamilies: ['ipv4', 'ipv6'] };
const nodeA = node('a', ['172.31.255.2', 'fd00:172:31:255::2'], ['10.88.0.0/24', 'fd00:10:88::/64']);
const nodeB = node('b', ['172.31.255.3', 'fd00:172:31:255::3'], ['10.88.1.0/24', 'fd00:10:88:1::/64']);

test('a pod gets its own namespace, its Calico name on the host side and the addresses of the lab families', () => {
  const plan = planLab(
    clusterOf(nodeA, pod('frontend-8b474f47-zdqdv', 'a', ['10.88.0.24', 'fd00:10:88::24'])),
    options,
  );
  expect(plan.pods.get('default/frontend-8b474f47-zdqdv')).toMatchObject({
    netns: 'sluice-lab.unit.pod.default.frontend-8b474f47-zdqdv',
    hostInterface: 'cali505cfbeac50',
    addresses: ['10.88.0.24'],
    node: 'a',
  });
  expect(plan.diagnostics).toEqual([]);
});

test('a node has its gateway, the first address of its pod CIDR, in every family', () => {
  const plan = planLab(clusterOf(nodeA, nodeB), dual);
  expect(plan.nodes.get('b')).toMatchObject({
    addresses: ['172.31.255.3', 'fd00:172:31:255::3'],
    gateways: ['10.88.1.1', 'fd00:10:88:1::1'],
  });
});

test('the router takes the highest underlay address that no node has', () => {
  const plan = planLab(clusterOf(node('a', ['172.31.255.254'], ['10.88.0.0/24'])), options);
  expect(plan.underlay.addresses).toEqual(['172.31.255.253']);
});

test.each([
  [
    'an address twice: the first by name has it',
    pod('z', 'a', ['10.88.0.9']),
    /10\.88\.0\.9 is that of pod default\/p/,
  ],
  ['the gateway', pod('z', 'a', ['10.88.0.1']), /10\.88\.0\.1 is that of node a/],
  ['a node address', pod('z', 'a', ['172.31.255.2']), /172\.31\.255\.2 is that of node a/],
  ['a node that is not there', pod('z', 'nowhere', ['10.88.0.10']), /node nowhere is not part of the lab/],
])('not wired, with a warning: %s', (_title, odd, message) => {
  const plan = planLab(clusterOf(nodeA, pod('p', 'a', ['10.88.0.9']), odd), options);
  expect([...plan.pods.keys()]).toEqual(['default/p']);
  expect(plan.diagnostics.map((diagnostic) => diagnostic.object)).toEqual(['Pod default/z']);
  expect(plan.diagnostics[0]?.message).toMatch(message);
});

test('finished pods are gone, their address may be used again', () => {
  const finished = pod('a', 'a', ['10.88.0.9'], { phase: 'Succeeded' });
  const plan = planLab(clusterOf(nodeA, finished, pod('b', 'a', ['10.88.0.9'])), options);
  expect([...plan.pods.keys()]).toEqual(['default/b']);
  expect(plan.diagnostics).toEqual([]);
});

test('pods of the host network share the addresses of their node', () => {
  const plan = planLab(clusterOf(nodeA, pod('h', 'a', ['172.31.255.2'], { hostNetwork: true })), options);
  expect(plan.pods.get('default/h')).toMatchObject({ hostNetwork: true, addresses: ['172.31.255.2'] });
});

test('a lab that runs keeps its nodes: pods of a new one are not wired, and the message says why', () => {
  const before = planLab(clusterOf(nodeA), options);
  const after = planLab(clusterOf(nodeA, nodeB, pod('p', 'b', ['10.88.1.9'])), options, before);
  expect([...after.nodes.keys()]).toEqual(['a']);
  expect([...after.pods.keys()]).toEqual([]);
  expect(after.diagnostics.map(({ object, message }) => `${object}: ${message}`)).toEqual([
    'Node b: not wired in the lab: the nodes of a lab stay as they were at its start; take it down and up again',
    'Pod default/p: not wired in the lab: node b is not part of the lab',
  ]);
});

test('labels do not touch the wiring of a pod, ports and addresses do', () => {
  const planned = (...args: Parameters<typeof pod>) => {
    const found = planLab(clusterOf(nodeA, pod(...args)), options).pods.get('default/p');
    if (found === undefined) throw new Error('the pod was not planned');
    return found;
  };
  const first = planned('p', 'a', ['10.88.0.9']);
  expect(isSamePod(first, planned('p', 'a', ['10.88.0.9'], { labels: { app: 'web' } }))).toBe(true);
  expect(isSamePod(first, planned('p', 'a', ['10.88.0.10']))).toBe(false);
  expect(isSamePod(first, planned('p', 'a', ['10.88.0.9'], { ports: [] }))).toBe(false);
});
