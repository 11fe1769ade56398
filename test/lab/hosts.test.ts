import { expect, test } from 'vitest';
import type { EndpointSlice } from '../../src/cluster/objects.ts';
import { hostsText, resolvText } from '../../src/lab/hosts.ts';
import { clusterOf, ip, node, pod, service } from './cluster.ts';

const slice: EndpointSlice = {
  kind: 'EndpointSlice',
  namespace: 'default',
  name: 'db-1',
  labels: {},
  service: 'db',
  addressType: 'IPv4',
  ports: [],
  endpoints: ['10.88.0.5', '10.88.0.6'].map((address, index) => ({
    addresses: [ip(address)],
    ready: index === 0,
    serving: true,
    terminating: false,
    hintZones: [],
    hintNodes: [],
  })),
};
const state = clusterOf(
  node('a', ['172.31.255.2'], []),
  pod('web-0', 'a', ['10.88.0.4', 'fd00:10:88::4']),
  pod('backend', 'a', ['10.88.0.9']),
  pod('gone', 'a', ['10.88.0.8'], { phase: 'Failed' }),
  pod('other', 'a', ['10.88.0.7'], { namespace: 'shop' }),
  service('backend', ['10.96.0.10']),
  service('db', []),
  slice,
);

function namesOf(text: string): Record<string, string> {
  const lines = text.trim().split('\n').slice(2);
  return Object.fromEntries(lines.map((line) => line.split('\t')));
}

test('Services by every name that cluster DNS has, headless ones by their ready endpoints, pods and nodes by name', () => {
  expect(namesOf(hostsText(state, ['ipv4'], 'default'))).toEqual({
    '10.96.0.10': 'backend backend.default.svc.cluster.local backend.default.svc backend.default',
    '10.88.0.5': 'db db.default.svc.cluster.local db.default.svc db.default',
    '10.88.0.4': 'web-0 web-0.default',
    '10.88.0.7': 'other.shop',
    '172.31.255.2': 'a',
  });
});

test('another namespace, and the nodes, use full names', () => {
  expect(namesOf(hostsText(state, ['ipv4'], 'shop'))).toMatchObject({
    '10.96.0.10': 'backend.default.svc.cluster.local backend.default.svc backend.default',
    '10.88.0.7': 'other other.shop',
  });
  expect(namesOf(hostsText(state, ['ipv4']))['10.88.0.7']).toBe('other.shop');
});

test('only the families of the lab', () => {
  expect(hostsText(state, ['ipv4'], 'default')).not.toContain('fd00:');
  expect(namesOf(hostsText(state, ['ipv4', 'ipv6'], 'default'))['fd00:10:88::4']).toBe('web-0 web-0.default');
});

test('a name that is not there is not asked of anybody', () => {
  expect(resolvText('default')).toContain('search default.svc.cluster.local svc.cluster.local cluster.local\n');
  expect(resolvText()).toContain('nameserver 255.255.255.255\n');
});
