/** Many Services: few rules for a packet, few chains for a change, and every frontend still found. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { ownsChain } from '../../src/dataplane/ownership.ts';
import { entriesOf, insertEntry, leafLimit, removeEntry, type Tree } from '../../src/service/dispatch-tree.ts';
import { Bench, endpoint, type ServiceShape, service, slice } from './fixtures.ts';
import { probe, rulesPassed } from './flows.ts';

function pair(index: number, shape: ServiceShape = {}): readonly ClusterObject[] {
  const key = `ns/svc-${index}`;
  const clusterIps = [`10.96.${index >> 8}.${index & 255}`];
  return [service(key, { clusterIps, ...shape }), slice(key, [endpoint(`10.200.${index >> 8}.${index & 255}`)])];
}

function many(count: number, shapeOf: (index: number) => ServiceShape = () => ({})): readonly ClusterObject[] {
  return Array.from({ length: count }, (_, index) => pair(index, shapeOf(index))).flat();
}

const dispatchChains = /^KUBE-(SERVICES|NODEPORTS|EXTERNAL|PROXY-F)/;

function widest(bench: Bench): number {
  const widths = (['nat', 'filter'] as const).flatMap((table) =>
    bench
      .chainNames(table)
      .filter((name) => dispatchChains.test(name))
      .map((name) => bench.rules(table, name).length),
  );
  return Math.max(...widths);
}

test('32 Services are one list, 33 a tree behind one early-out', () => {
  const list = new Bench({}, ['ipv4']).set(...many(32));
  expect(list.rules('nat', 'KUBE-SERVICES')).toHaveLength(33);
  const tree = list.set(...pair(32));
  expect(tree.rules('nat', 'KUBE-SERVICES')).toEqual([
    '-d 10.96.0.0/24 -j KUBE-SERVICES-0a6000',
    expect.stringMatching(/-j KUBE-NODEPORTS$/),
  ]);
  expect(tree.rules('nat', 'KUBE-SERVICES-0a6000')).toEqual([
    '-d 10.96.0.0/28 -g KUBE-SERVICES-0a60000',
    '-d 10.96.0.16/28 -g KUBE-SERVICES-0a60001',
    expect.stringMatching(/"ns\/svc-32 cluster IP" .* -j KUBE-SVC-\w{16}$/),
  ]);
  const gone = { type: 'delete', kind: 'Service', key: 'ns/svc-32' } as const;
  expect(tree.apply([gone]).rules('nat', 'KUBE-SERVICES')).toHaveLength(33);
  expect(tree.chainNames('nat').filter((name) => name.startsWith('KUBE-SERVICES-'))).toEqual([]);
});

describe('2,000 Services with every kind of frontend', () => {
  const bench = new Bench({}, ['ipv4']).set(
    ...many(2000, (index) => ({
      type: 'LoadBalancer',
      ports: [{ nodePort: 30_000 + index }],
      loadBalancerIps: [`203.0.${113 + (index >> 8)}.${index & 255}`],
      externalIps: ['198.51.100.1'],
      ...(index === 0 ? {} : { ports: [{ nodePort: 30_000 + index, port: 1000 + index }] }),
    })),
  );

  test('chains are small', () => {
    expect(widest(bench)).toBeLessThanOrEqual(17);
  });

  test('every chain is known as ours by its name', () => {
    const names = (['nat', 'filter'] as const).flatMap((table) => bench.chainNames(table));
    expect(names.length).toBeGreaterThan(6000);
    expect(names.filter((name) => !ownsChain(name, { services: true }))).toEqual([]);
  });

  test.each([0, 1, 255, 256, 1024, 1999])('Service %i is found at each of its frontends', (index) => {
    const reaches = [`10.200.${index >> 8}.${index & 255}:80`];
    const port = index === 0 ? 80 : 1000 + index;
    const frontends = [
      { to: `10.96.${index >> 8}.${index & 255}`, port },
      { to: `203.0.${113 + (index >> 8)}.${index & 255}`, port },
      { to: '198.51.100.1', port },
      { to: '192.168.0.2', port: 30_000 + index },
    ];
    for (const frontend of frontends) expect(probe(bench, { from: 'outside', ...frontend })).toMatchObject({ reaches });
  });

  test('few rules for a Service, fewer for what is none', () => {
    expect(rulesPassed(bench, '10.96.7.207', 2999)).toBeLessThanOrEqual(64);
    expect(rulesPassed(bench, '198.51.100.1', 2999)).toBeLessThanOrEqual(80);
    expect(rulesPassed(bench, '10.1.2.3', 80)).toBeLessThanOrEqual(20);
  });

  test('one Service less, one more: a few small chains', () => {
    const objects = pair(1234, { type: 'NodePort', ports: [{ port: 2234, nodePort: 31_234 }] });
    bench.set(...objects);
    const dispatch = bench.touched.filter((name) => dispatchChains.test(name.split(' ')[1] ?? ''));
    expect(dispatch.length).toBeGreaterThan(0);
    expect(dispatch.length).toBeLessThanOrEqual(8);
  });
});

test('endpoint-less Services are refused through trees too', () => {
  const objects = many(300, (index) => ({ type: 'NodePort', ports: [{ nodePort: 30_000 + index }] }));
  const bench = new Bench({}, ['ipv4']).set(...objects.filter(({ kind }) => kind === 'Service'));
  expect(widest(bench)).toBeLessThanOrEqual(17);
  expect(probe(bench, { from: 'pod', to: '10.96.1.3', port: 80 })).toBe('reject');
  expect(probe(bench, { from: 'outside', to: '192.168.0.2', port: 30_299 })).toBe('reject');
  expect(probe(bench, { from: 'outside', to: '192.168.0.2', port: 22 })).toMatchObject({ reaches: ['192.168.0.2:22'] });
});

test('IPv6 Services are found through a tree', () => {
  const objects = Array.from({ length: 200 }, (_, index) => [
    service(`ns/svc-${index}`, { clusterIps: [`fd00:96::${(index + 1).toString(16)}`] }),
    slice(`ns/svc-${index}`, [endpoint(`fd00:10:1::${(index + 1).toString(16)}`)]),
  ]).flat();
  const bench = new Bench().set(...objects);
  expect(probe(bench, { from: 'pod', to: 'fd00:96::c8', port: 80 })).toMatchObject({ reaches: ['[fd00:10:1::c8]:80'] });
  expect(rulesPassed(bench, 'fd00:96::c8', 80)).toBeLessThanOrEqual(64);
});

test('two Services that claim one address and port: the first by name, both ways round', () => {
  const claim = { externalIps: ['198.51.100.1'] };
  const first = pair(1, claim);
  const second = pair(2, claim);
  for (const order of [
    [...first, ...second],
    [...second, ...first],
  ]) {
    const bench = new Bench({}, ['ipv4']).set(...order);
    expect(probe(bench, { from: 'outside', to: '198.51.100.1', port: 80 })).toMatchObject({
      reaches: ['10.200.0.1:80'],
    });
  }
});

test('many ports of one address are found by protocol and port, and no others', () => {
  const at = (index: number) => ({ protocol: index % 2 === 0 ? 'TCP' : 'UDP', port: 100 + index * 300 }) as const;
  const bench = new Bench({}, ['ipv4']).set(
    ...Array.from({ length: 40 }, (_, index) => [
      service(`ns/svc-${index}`, { clusterIps: ['172.30.0.41'], ports: [at(index)] }),
      slice(`ns/svc-${index}`, [endpoint(`10.200.0.${index}`)], { ports: [{ name: '', ...at(index), port: 80 }] }),
    ]).flat(),
  );
  for (const index of [0, 1, 16, 17, 38, 39]) {
    const { protocol, port } = at(index);
    const to = { from: 'pod', to: '172.30.0.41', port, protocol } as const;
    expect(probe(bench, to)).toMatchObject({ reaches: [`10.200.0.${index}:80`] });
    expect(probe(bench, { ...to, protocol: protocol === 'TCP' ? 'UDP' : 'TCP' })).toMatchObject({
      reaches: [`172.30.0.41:${port}`],
    });
    expect(rulesPassed(bench, '172.30.0.41', port, protocol)).toBeLessThanOrEqual(40);
  }
});

test('a dispatch tree grows and shrinks: small leaves, right counts, entries in order, and the shape of a new one', () => {
  const all = Array.from({ length: 90 }, (_, index) => ({
    key: (((index * 37) % 60) * 7).toString(16).padStart(3, '0'),
    id: 'cab'.charAt(index % 3),
    value: 0,
  })).filter(({ key, id }, at, list) => list.findIndex((other) => other.key === key && other.id === id) === at);
  const grown = (entries: typeof all) => entries.reduce<Tree<number> | undefined>(insertEntry, undefined);
  const inOrder = (entries: typeof all) =>
    entries.toSorted((one, other) => (one.key + one.id < other.key + other.id ? -1 : 1));
  const check = (tree: Tree<number> | undefined): void => {
    if (tree?.kind === 'leaf') expect(tree.entries.length).toBeLessThanOrEqual(leafLimit);
    if (tree?.kind !== 'inner') return;
    expect(tree.count).toBe(entriesOf(tree).length);
    expect(tree.count).toBeGreaterThan(leafLimit);
    expect(tree.children.filter((child) => child !== undefined).length).toBeGreaterThan(1);
    for (const child of tree.children) check(child);
  };
  let tree = grown(all);
  for (const [index, { key, id }] of all.entries()) {
    check(tree);
    const left = all.slice(index);
    expect(entriesOf(tree)).toEqual(inOrder(left));
    if (index % 5 === 0) expect(tree).toEqual(grown(left.toReversed()));
    expect(removeEntry(tree, key, `${id}x`)).toBe(tree);
    expect(removeEntry(tree, 'fff', id)).toBe(tree);
    tree = removeEntry(tree, key, id);
  }
  expect(tree).toBeUndefined();
});

test('entries with one key stay in one leaf, however many', () => {
  const entries = Array.from({ length: 40 }, (_, index) => ({ key: '0a6', id: String(100 - index), value: 0 }));
  const tree = entries.reduce<Tree<number> | undefined>(insertEntry, undefined);
  expect(tree).toEqual({ kind: 'leaf', entries: entries.toSorted((one, other) => (one.id < other.id ? -1 : 1)) });
});

test('a dispatch tree has the shape of its entries, whatever their history', () => {
  // Few enough that most removals meet an entry.
  const someKey = fc.integer({ min: 0, max: 40 }).map((value) => (value * 7).toString(16).padStart(3, '0'));
  const someEntry = fc.record({ key: someKey, id: fc.constantFrom('a', 'b') });
  fc.assert(
    fc.property(fc.array(fc.tuple(someEntry, fc.boolean()), { minLength: 60, maxLength: 200 }), (history) => {
      const present = new Map<string, { key: string; id: string }>();
      let tree: Tree<number> | undefined;
      for (const [entry, isAdded] of history) {
        const name = entry.key + entry.id;
        if (isAdded && !present.has(name)) {
          tree = insertEntry(tree, { ...entry, value: 0 });
          present.set(name, entry);
        } else if (!isAdded) {
          tree = removeEntry(tree, entry.key, entry.id);
          present.delete(name);
        }
      }
      let fresh: Tree<number> | undefined;
      for (const entry of [...present.values()].sort((one, other) =>
        one.key + one.id < other.key + other.id ? -1 : 1,
      )) {
        fresh = insertEntry(fresh, { ...entry, value: 0 });
      }
      expect(tree).toEqual(fresh);
    }),
    { numRuns: 300 },
  );
}, 120_000);
