/** Names of Services as DNS answers them, and the ways in for their outer addresses. */
import { expect, test } from 'vitest';
import { dnsAnswer, entryNodes } from '../../src/cluster/service-names.ts';
import type { EndpointSlice, Service } from '../../src/cluster/objects.ts';
import { keyOf } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { ServiceShape } from '../service/fixtures.ts';
import { endpoint, node, notReady, service, slice } from '../service/fixtures.ts';

const headless: ServiceShape = { clusterIps: [], headless: true };
const nodes = ['n2', 'n1', 'n3'].map((name) => ({ ...node(), name }));

function alias(key: string, externalName: string): Service {
  return service(key, { type: 'ExternalName', clusterIps: [], externalName });
}

function stateOf(...objects: readonly (Service | EndpointSlice)[]) {
  const store = new ClusterStore();
  store.apply([...nodes, ...objects].map((object) => ({ type: 'set', object })));
  return store;
}

function answer(key: string, ...objects: readonly (Service | EndpointSlice)[]) {
  const state = stateOf(...objects);
  const found = state.services.get(key);
  if (found === undefined) throw new Error(`no Service ${key}`);
  const { services, addresses, outsideName } = dnsAnswer(state, found);
  return { names: services.map(keyOf), addresses, outsideName };
}

const web = service('shop/web');
const peers = service('shop/peers', headless);
const endpoints = slice('shop/peers', [
  endpoint('10.0.0.2'),
  endpoint('10.0.0.1'),
  endpoint('10.0.0.3', 'n1', notReady),
]);

test('a ClusterIP, whatever its endpoints', () => {
  expect(answer('shop/web', web)).toEqual({ names: ['shop/web'], addresses: ['172.30.0.41'], outsideName: undefined });
});

test('headless: the ready endpoints; all of them where that is asked for', () => {
  expect(answer('shop/peers', peers, endpoints).addresses).toEqual(['10.0.0.2', '10.0.0.1']);
  const eager = service('shop/peers', { ...headless, publishNotReadyAddresses: true });
  expect(answer('shop/peers', eager, endpoints).addresses).toEqual(['10.0.0.2', '10.0.0.1', '10.0.0.3']);
});

test('ExternalName: followed within the cluster, to its end or out of it', () => {
  const first = alias('default/a', 'b.shop.svc.cluster.local.');
  const second = alias('shop/b', 'web.shop.svc.cluster.local');
  expect(answer('default/a', first, second, web)).toEqual({
    names: ['default/a', 'shop/b', 'shop/web'],
    addresses: ['172.30.0.41'],
    outsideName: undefined,
  });
  expect(answer('default/a', first, alias('shop/b', 'db.example.com'))).toEqual({
    names: ['default/a', 'shop/b'],
    addresses: [],
    outsideName: 'db.example.com',
  });
  expect(answer('default/a', first).outsideName).toBe('b.shop.svc.cluster.local.');
});

test('names that lead in a circle end', () => {
  const circle = [alias('default/a', 'b.default.svc.cluster.local'), alias('default/b', 'a.default.svc.cluster.local')];
  expect(answer('default/a', ...circle)).toEqual({
    names: ['default/a', 'default/b'],
    addresses: [],
    outsideName: undefined,
  });
});

test('the way in: every node, or with policy Local those that have a ready endpoint', () => {
  const local = service('shop/web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
  const behind = slice('shop/web', [
    endpoint('10.0.0.1', 'n3'),
    endpoint('10.0.0.2', 'n2'),
    endpoint('10.0.0.3', 'n1', notReady),
  ]);
  expect(entryNodes(stateOf(web, behind), web)).toEqual(['n1', 'n2', 'n3']);
  expect(entryNodes(stateOf(local, behind), local)).toEqual(['n2', 'n3']);
  expect(entryNodes(stateOf(local), local)).toEqual(['n1', 'n2', 'n3']);
});
