import { expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../src/cluster/objects.ts';
import { labDefaults } from '../../src/lab/options.ts';
import { outerRouteLines, outerRoutes } from '../../src/lab/outer-routes.ts';
import { planLab } from '../../src/lab/plan.ts';
import { endpoint, slice } from '../service/fixtures.ts';
import { clusterOf, ip, node, pod, service } from './cluster.ts';

const nodes = [
  node('a', ['172.31.255.2', 'fd00:172:31:255::2'], ['10.88.0.0/24']),
  node('b', ['172.31.255.3'], ['10.88.1.0/24']),
];
const onB = slice('default/web', [endpoint('10.88.1.9', 'b')]);

function routesOf(...objects: readonly (Service | EndpointSlice)[]): Record<string, string> {
  const state = clusterOf(...nodes, pod('p', 'a', ['10.88.0.9']), ...objects);
  const plan = planLab(state, { ...labDefaults, directory: '/m', name: 'unit', ipFamilies: ['ipv4', 'ipv6'] });
  return Object.fromEntries(outerRoutes(state, plan));
}

function balanced(more: Partial<Service> = {}): Service {
  const loadBalancerIngress = [{ ip: ip('203.0.113.1'), ipMode: 'VIP' }] as const;
  return service('web', ['10.96.0.1'], { type: 'LoadBalancer', loadBalancerIngress, ...more });
}

test('external and balanced addresses go to the first node', () => {
  expect(routesOf(balanced({ externalIps: [ip('198.51.100.1'), ip('2001:db8::1')] }), onB)).toEqual({
    '203.0.113.1': '172.31.255.2',
    '198.51.100.1': '172.31.255.2',
    '2001:db8::1': 'fd00:172:31:255::2',
  });
});

test('policy Local: to the first that has an endpoint', () => {
  expect(routesOf(balanced({ externalTrafficPolicy: 'Local' }), onB)).toEqual({ '203.0.113.1': '172.31.255.3' });
});

test('no route for what a proxy answers, and for what is somebody’s own', () => {
  const loadBalancerIngress = [{ ip: ip('203.0.113.1'), ipMode: 'Proxy' }] as const;
  const externalIps = [ip('172.31.255.3'), ip('10.88.0.9'), ip('172.31.254.2')];
  expect(routesOf(balanced({ loadBalancerIngress, externalIps }))).toEqual({});
});

test('changes: what is gone is deleted, what is new or elsewhere is put in place', () => {
  const table = (entries: Record<string, string>) =>
    new Map(Object.entries(entries).map(([address, via]) => [ip(address), ip(via)]));
  const before = table({ '203.0.113.1': '172.31.255.2', '203.0.113.2': '172.31.255.2', '203.0.113.3': '172.31.255.2' });
  const after = table({ '203.0.113.2': '172.31.255.2', '203.0.113.3': '172.31.255.3', 'fd00::1': 'fd00::2' });
  expect(outerRouteLines(before, after)).toEqual([
    'route del 203.0.113.1/32',
    'route replace 203.0.113.3/32 via 172.31.255.3 dev br0 onlink',
    'route replace fd00::1/128 via fd00::2 dev br0 onlink',
  ]);
});
