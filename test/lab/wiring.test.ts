import { expect, test } from 'vitest';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabPlan, PodPlan } from '../../src/lab/plan.ts';
import { planLab } from '../../src/lab/plan.ts';
import {
  networkBatches,
  podInnerLines,
  podLinkLines,
  podUnlinkLines,
  strayRouteBatches,
} from '../../src/lab/wiring.ts';
import { clusterOf, node, pod } from './cluster.ts';

const options: LabOptions = { ...labDefaults, directory: '/manifests', name: 'unit' };
const nodeA = node('a', ['172.31.255.2', 'fd00:172:31:255::2'], ['10.88.0.0/24', 'fd00:10:88::/64']);
const nodeB = node('b', ['172.31.255.3', 'fd00:172:31:255::3'], ['10.88.1.0/24', 'fd00:10:88:1::/64']);

function wired(choice: Partial<LabOptions>, ips: readonly string[]): { plan: LabPlan; planned: PodPlan } {
  const plan = planLab(clusterOf(nodeA, nodeB, pod('p', 'a', ips)), { ...options, ...choice });
  const planned = plan.pods.get('default/p');
  if (planned === undefined) throw new Error('the pod was not planned');
  return { plan, planned };
}

test('ptp: a veth with the gateway address on the host side, and a route to the pod alone', () => {
  const { plan, planned } = wired({ cni: 'ptp' }, ['10.88.0.9']);
  expect(podLinkLines(plan, planned)).toEqual([
    `link add ${planned.hostInterface} type veth peer name eth0 netns ${planned.netns}`,
    `link set ${planned.hostInterface} addrgenmode none`,
    `link set ${planned.hostInterface} up`,
    `addr add 10.88.0.1/32 dev ${planned.hostInterface}`,
    `route replace 10.88.0.9/32 dev ${planned.hostInterface}`,
  ]);
  expect(podInnerLines(plan, planned)).toEqual([
    'link set lo up',
    'link set eth0 addrgenmode none',
    'link set eth0 up',
    'addr add 10.88.0.9/32 dev eth0',
    'route add 10.88.0.1/32 dev eth0',
    'route add default via 10.88.0.1 dev eth0',
  ]);
});

test('bridge: the host side is a port of cni0, and neighbours are on the link', () => {
  const { plan, planned } = wired({ cni: 'bridge' }, ['10.88.0.9']);
  expect(podLinkLines(plan, planned)).toEqual([
    `link add ${planned.hostInterface} type veth peer name eth0 netns ${planned.netns}`,
    `link set ${planned.hostInterface} addrgenmode none`,
    `link set ${planned.hostInterface} master cni0 up`,
  ]);
  expect(podInnerLines(plan, planned).slice(-2)).toEqual([
    'addr add 10.88.0.9/24 dev eth0',
    'route add default via 10.88.0.1 dev eth0',
  ]);
});

test('no address waits for duplicate detection, and link-local ones differ from end to end', () => {
  const { plan, planned } = wired({ cni: 'bridge', ipFamilies: ['ipv4', 'ipv6'] }, ['10.88.0.9', 'fd00:10:88::9']);
  const lines = [
    ...networkBatches(plan).flatMap((batch) => batch.lines),
    ...podLinkLines(plan, planned),
    ...podInnerLines(plan, planned),
  ];
  const v6 = lines.filter((line) => line.startsWith('addr add') && line.includes(':'));
  expect(v6.filter((line) => !line.endsWith(' nodad'))).toEqual([]);
  const linkLocal = v6.map((line) => line.split(' ')[2] ?? '').filter((address) => address.startsWith('fe80'));
  expect(new Set(linkLocal).size).toBe(linkLocal.length);
});

test('every node knows the way to the pods of the others, the router to all', () => {
  const { plan } = wired({}, ['10.88.0.9']);
  const [underlay, , first, second] = networkBatches(plan);
  expect(first?.lines).toContain('route replace 10.88.1.0/24 via 172.31.255.3 dev eth0 onlink');
  expect(second?.lines).toContain('route replace 10.88.0.0/24 via 172.31.255.2 dev eth0 onlink');
  expect(underlay?.lines.filter((line) => line.startsWith('route'))).toEqual([
    'route replace 10.88.0.0/24 via 172.31.255.2 dev br0 onlink',
    'route replace 10.88.1.0/24 via 172.31.255.3 dev br0 onlink',
  ]);
});

test('a node address that the manifests chose outside the underlay is reached by a route of its own', () => {
  const far = node('far', ['192.168.49.2'], ['10.244.0.0/24']);
  const plan = planLab(clusterOf(nodeA, far), options);
  const [underlay, , first, second] = networkBatches(plan);
  expect(first?.lines).toContain('route add 192.168.49.2/32 dev eth0');
  expect(underlay?.lines).toContain('route add 192.168.49.2/32 dev br0');
  expect(second?.lines).toContain('addr add 192.168.49.2/32 dev eth0');
  expect(second?.lines).toContain('route add default via 172.31.255.254 dev eth0 onlink');
});

test('a pod address outside the CIDR of its node is routed by everybody, and not any more when the pod is gone', () => {
  const { plan, planned } = wired({ cni: 'bridge' }, ['10.99.0.7']);
  expect(podLinkLines(plan, planned)).toContain('route replace 10.99.0.7/32 dev cni0');
  expect(podInnerLines(plan, planned)).toContain('addr add 10.99.0.7/32 dev eth0');
  expect(strayRouteBatches(plan, planned, 'replace')).toEqual([
    { netns: 'sluice-lab.unit.underlay', lines: ['route replace 10.99.0.7/32 via 172.31.255.2 dev br0 onlink'] },
    { netns: 'sluice-lab.unit.node.b', lines: ['route replace 10.99.0.7/32 via 172.31.255.2 dev eth0 onlink'] },
  ]);
  expect(strayRouteBatches(plan, planned, 'del').flatMap((batch) => batch.lines)).toEqual([
    'route del 10.99.0.7/32 via 172.31.255.2 dev br0',
    'route del 10.99.0.7/32 via 172.31.255.2 dev eth0',
  ]);
});

test('a pod without an address has its namespace and nothing in the node', () => {
  const { plan, planned } = wired({}, []);
  expect([podLinkLines(plan, planned), podInnerLines(plan, planned), podUnlinkLines(planned)]).toEqual([
    [],
    ['link set lo up'],
    [],
  ]);
});
