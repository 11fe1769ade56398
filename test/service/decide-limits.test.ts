/** Rules about one Service that nothing missed when they were changed: limits, the other family, and what another type has left behind. */
import { describe, expect, test } from 'vitest';
import type { EndpointSlice } from '../../src/cluster/objects.ts';
import { Bench, cidr, endpoint, ip, service, slice, used } from './fixtures.ts';

const key = 'ns/web';
const dual = { clusterIps: ['172.30.0.41', 'fd00:172::41'] } as const;
const here = slice(key, [endpoint('10.1.0.1', 'here'), endpoint('10.1.0.2')]);

test.each([
  [1, true],
  [65_535, true],
  [0, false],
  [65_536, false],
  [-1, false],
  [80.5, false],
])('a Service port of number %s is one: %s', (port, isOne) => {
  const bench = new Bench().set(service(key, { ports: [{ port }] }), here);
  expect(bench.planned(key).ports).toHaveLength(isOne ? 1 : 0);
  expect(bench.diagnostics.map(({ message }) => message)).toEqual(
    isOne ? [] : [`${port} is no port, expected 1 to 65535`],
  );
});

test.each([
  [undefined, []],
  [0, []],
  [65_535, []],
  [65_536, ['ports[0].port']],
])('a slice’s port of number %s is told only where it can be none', (port, expected) => {
  const ports: EndpointSlice['ports'] = [{ name: '', protocol: 'TCP', ...(port === undefined ? {} : { port }) }];
  const bench = new Bench().set(service(key), slice(key, [endpoint('10.1.0.1')], { ports }));
  expect(bench.diagnostics.map(({ path }) => path)).toEqual(expected);
});

describe('what another type has left in the object', () => {
  const left = {
    loadBalancerIps: ['203.0.113.1'],
    ports: [{ nodePort: 30_080 }],
    healthCheckNodePort: 32_000,
  } as const;

  test('a ClusterIP has no nodePort, no balancer’s address and no health check', () => {
    const bench = new Bench().set(service(key, { ...left, externalTrafficPolicy: 'Local' }), here);
    expect(bench.port(key)).toMatchObject({ nodePort: 0, loadBalancerIps: [], healthCheckNodePort: 0 });
    expect(bench.port(key).externallyAccessible).toBe(false);
  });

  test('a NodePort has its nodePort alone', () => {
    const bench = new Bench().set(service(key, { ...left, type: 'NodePort', externalTrafficPolicy: 'Local' }), here);
    expect(bench.port(key)).toMatchObject({ nodePort: 30_080, loadBalancerIps: [], healthCheckNodePort: 0 });
    expect(bench.planned(key).healthCheck).toBeUndefined();
  });

  test('an ExternalName is not served, whatever clusterIP it has', () => {
    const bench = new Bench().set(service(key, { ...left, type: 'ExternalName' }), here);
    expect(bench.planned(key).ports).toEqual([]);
  });
});

describe('of a Service with two families', () => {
  test('each has the addresses of its own', () => {
    const bench = new Bench().set(
      service(key, {
        ...dual,
        type: 'LoadBalancer',
        externalIps: ['198.51.100.1', '2001:db8::1'],
        loadBalancerIps: ['2001:db8::2', '203.0.113.1'],
      }),
    );
    expect(bench.port(key)).toMatchObject({ externalIps: ['198.51.100.1'], loadBalancerIps: ['203.0.113.1'] });
    expect(bench.port(key, 'ipv6')).toMatchObject({ externalIps: ['2001:db8::1'], loadBalancerIps: ['2001:db8::2'] });
  });

  test('the node is in the ranges of the family of its address', () => {
    const ranges = [cidr('192.168.0.0/16'), cidr('fd00:192::/64')];
    const shape = { ...dual, type: 'LoadBalancer', loadBalancerSourceRanges: ranges } as const;
    const bench = new Bench().set(service(key, shape));
    expect([bench.port(key).nodeInSourceRanges, bench.port(key, 'ipv6').nodeInSourceRanges]).toEqual([true, true]);
    bench.apply([], { nodeAddresses: [ip('192.168.0.2')] });
    expect(bench.port(key, 'ipv6').nodeInSourceRanges).toBe(false);
  });
});

test('policy Cluster alone needs no list of local endpoints, from outside or not', () => {
  const nodePort = { type: 'NodePort', ports: [{ nodePort: 30_080 }] } as const;
  for (const shape of [{}, nodePort]) {
    const bench = new Bench().set(service(key, shape), here);
    expect(bench.port(key).localEndpoints).toEqual([]);
    expect(bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SVL-'))).toEqual([]);
  }
});

test('endpoints stand in order of `address:port` as text, in whatever order slices name them', () => {
  const addresses = ['10.1.0.10', '10.1.0.2', '10.1.0.33', '10.1.0.3', '10.1.0.4'];
  for (const order of [addresses, addresses.toReversed(), [...addresses.slice(2), ...addresses.slice(0, 2)]]) {
    const bench = new Bench().set(
      service(key),
      slice(
        key,
        order.map((address) => endpoint(address)),
      ),
    );
    expect(used(bench.port(key).endpoints)).toEqual(addresses);
  }
});

test('of equal copies of an endpoint the one counts whose slice is first by name, whichever came first', () => {
  const copies = ['a', 'b', 'c'].map((zone) => slice(key, [endpoint('10.1.0.1', 'there', { zone })], { suffix: zone }));
  for (const order of [copies, copies.toReversed()]) {
    const bench = new Bench();
    for (const one of [service(key), ...order]) bench.set(one);
    expect(bench.port(key).endpoints).toMatchObject([{ zone: 'a' }]);
  }
});
