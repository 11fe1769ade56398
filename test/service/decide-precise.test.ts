/** Decisions about Services that survived when they were changed one by one: limits, doubles, and what a loser keeps. */
import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../src/cluster/objects.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import type { LocalTrafficDetector } from '../../src/service/options.ts';
import { udpFrontends, udpPortsOf } from '../../src/service/udp-flows.ts';
import { Bench, cidr, endpoint, notReady, options, service, servingTerminating, slice, tcp } from './fixtures.ts';

const key = 'ns/web';
const location = (...paths: readonly string[]) => ({
  file: 'web.yaml',
  line: 1,
  lines: new Map(paths.map((path, index) => [path, index + 2])),
});

test.each([
  [0, undefined],
  [1, 1],
  [1.5, undefined],
  [86_400, 86_400],
  [86_401, undefined],
  [-1, undefined],
])('affinity of %s seconds', (seconds, expected) => {
  const bench = new Bench().set(service(key, { sessionAffinitySeconds: seconds }));
  expect(bench.port(key).affinitySeconds).toBe(expected);
  expect(bench.diagnostics.map(({ path }) => path)).toEqual(
    expected === undefined ? ['spec.sessionAffinityConfig.clientIP.timeoutSeconds'] : [],
  );
});

const ofV6: readonly ReturnType<typeof cidr>[] = [cidr('fd00:10::/32')];
test.each<[string, LocalTrafficDetector, string]>([
  ['a cluster CIDR of the family', { kind: 'clusterCidr', cidrs: [cidr('10.0.0.0/8')] }, 'not-pods'],
  ['no cluster CIDR of the family', { kind: 'clusterCidr', cidrs: ofV6 }, 'nobody'],
  ['no node CIDR of the family', { kind: 'nodeCidr', cidrs: ofV6 }, 'nobody'],
  ['a bridge', { kind: 'bridge', name: 'cni0' }, 'not-pods'],
  ['nothing to tell pods by', { kind: 'none' }, 'nobody'],
])('who is masqueraded by a ClusterIP with %s', (_, detector, expected) => {
  expect(new Bench({ detector }).set(service(key)).port(key).masqueradeInternal).toBe(expected);
});

test('a /0 among the source ranges admits everybody: there is no range for the node to be in', () => {
  const ranges = [cidr('192.168.0.0/16'), cidr('0.0.0.0/0')];
  const port = new Bench().set(service(key, { loadBalancerSourceRanges: ranges })).port(key);
  expect([port.sourceRanges, port.nodeInSourceRanges]).toEqual([[], false]);
});

test('a planned endpoint knows its zone and its pod', () => {
  const pod = 'ns/web-0';
  const bench = new Bench().set(service(key), slice(key, [endpoint('10.1.0.1', 'here', { zone: 'zone-a', pod })]));
  expect(bench.port(key).endpoints).toMatchObject([{ zone: 'zone-a', pod, nodeName: 'here' }]);
});

describe('a health check', () => {
  const balancer = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } as const;
  const local = (...addresses: readonly string[]) => addresses.map((address) => endpoint(address, 'here'));

  test('counts pods of this node, not ports', () => {
    const ports = [{ name: 'a' }, { name: 'b', port: 81 }];
    const bench = new Bench().set(
      service(key, { ...balancer, ports }),
      slice(key, [...local('10.1.0.1', '10.1.0.2'), endpoint('10.1.0.3')], { ports: [tcp(80, 'a'), tcp(81, 'b')] }),
    );
    expect(bench.planned(key).healthCheck).toEqual({ nodePort: 32_000, localEndpoints: { ipv4: 2, ipv6: 0 } });
  });

  test('is not there for a Service without a port that is served', () => {
    const bench = new Bench().set(service(key, { ...balancer, ports: [] }));
    expect(bench.planned(key).healthCheck).toBeUndefined();
  });

  test('on what is no port is told and left out', () => {
    const bench = new Bench().set(service(key, { ...balancer, healthCheckNodePort: 70_000 }));
    expect(bench.planned(key).healthCheck).toBeUndefined();
    expect(bench.diagnostics.map(formatDiagnostic)).toEqual([
      'Service ns/web: spec.healthCheckNodePort: 70000 is no port, expected 1 to 65535',
    ]);
  });

  test('stays with a Service that lost another frontend', () => {
    const shape = { ...balancer, externalIps: ['198.51.100.1'] };
    const bench = new Bench().set(
      service('ns/a', { externalIps: ['198.51.100.1'], clusterIps: ['172.30.0.1'] }),
      service('ns/b', { ...shape, clusterIps: ['172.30.0.2'] }),
    );
    expect([...bench.port('ns/b').yielded.keys()]).toEqual(['198.51.100.1:80/TCP']);
    expect(bench.planned('ns/b').healthCheck).toMatchObject({ nodePort: 32_000 });
  });

  test('goes with its port in one family alone; the message says where it is written', () => {
    const bench = new Bench().set(
      service('ns/a', { type: 'NodePort', clusterIps: ['172.30.0.1'], ports: [{ nodePort: 32_000 }] }),
      service('ns/b', { ...balancer, clusterIps: ['172.30.0.2', 'fd00:172::2'], ports: [{ nodePort: 30_080 }] }),
    );
    expect(bench.planned('ns/b').healthCheck).toBeUndefined();
    expect(bench.diagnostics.map(({ path }) => path)).toEqual(['spec.healthCheckNodePort']);
  });

  test('is not made up for a Service that has none and loses a frontend', () => {
    const bench = new Bench().set(service('ns/a'), service('ns/b'));
    expect(bench.diagnostics).toHaveLength(1);
    expect(Object.keys(bench.planned('ns/b'))).not.toContain('healthCheck');
  });
});

test('the oldest of three has the frontend, in whatever order they come', () => {
  const ages = { a: 3000, b: 1000, c: 2000 };
  for (const order of ['abc', 'acb', 'bac', 'bca', 'cab', 'cba']) {
    const bench = new Bench();
    for (const name of order) {
      bench.set(service(`ns/${name}`, { createdAtMs: ages[name === 'a' || name === 'b' ? name : 'c'] }));
    }
    const owners = ['a', 'b', 'c'].map((name) => bench.port(`ns/${name}`).yielded.get('172.30.0.41:80/TCP'));
    expect(owners).toEqual(['ns/b', undefined, 'ns/b']);
    bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/b' }]);
    expect(bench.port('ns/a').yielded.get('172.30.0.41:80/TCP')).toBe('ns/c');
    expect(bench.port('ns/c').yielded.size).toBe(0);
  }
});

test.each<[string, readonly string[]]>([
  ['spec.clusterIP', ['spec.clusterIP']],
  ['spec.clusterIPs', ['spec.clusterIPs']],
  ['spec.clusterIPs', ['spec.clusterIP', 'spec.clusterIPs']],
])('a ClusterIP that is another’s is told at %s, where the manifest has %s', (path, paths) => {
  const bench = new Bench().set(service('ns/a'), service('ns/b', { location: location(...paths) }));
  const line = 2 + paths.indexOf(path);
  expect(bench.diagnostics).toMatchObject([{ object: 'Service ns/b', path, file: 'web.yaml', line }]);
});

describe('one address and port in two slices', () => {
  const readiness: readonly Partial<Endpoint>[] = [
    { ready: true, serving: true, terminating: false },
    { ready: true, serving: false, terminating: false },
    { ready: false, serving: true, terminating: false },
    { ready: false, serving: false, terminating: false },
    { ready: true, serving: true, terminating: true },
    { ready: false, serving: true, terminating: true },
  ];
  const plan = (...copies: readonly Partial<Endpoint>[]) =>
    new Bench()
      .set(
        service(key),
        ...copies.map((one, index) => slice(key, [endpoint('10.1.0.1', 'here', one)], { suffix: String(index) })),
      )
      .port(key).endpoints;

  test('the better one counts, whichever comes first', () => {
    for (const [index, better] of readiness.entries()) {
      for (const worse of readiness.slice(index + 1)) {
        expect(plan(better, worse)).toMatchObject([better]);
        expect(plan(worse, better)).toMatchObject([better]);
      }
    }
  });

  test('of equal ones the first slice’s', () => {
    expect(plan({ zone: 'first' }, { zone: 'second' })).toMatchObject([{ zone: 'first' }]);
  });
});

test('what is wrong in a slice is told with its place: its own line, or where the slice begins', () => {
  const wrong = (paths: readonly string[]) =>
    new Bench().set(service(key), slice(key, [], { ports: [tcp(70_000)], location: location(...paths) })).diagnostics;
  expect(wrong(['ports[0].port'])).toMatchObject([{ file: 'web.yaml', line: 2, path: 'ports[0].port' }]);
  expect(wrong([])).toMatchObject([{ file: 'web.yaml', line: 1 }]);
  const nowhere = new Bench().set(service(key), slice(key, [], { ports: [tcp(70_000)] })).diagnostics;
  expect(nowhere.map(formatDiagnostic)).toEqual([
    'EndpointSlice ns/web-a: ports[0].port: 70000 is no port, expected 1 to 65535',
  ]);
});

test('of a Service with TCP and UDP only UDP has flows that can be stale; one that is gone has none', () => {
  const ports = [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 54 },
  ] as const;
  const planned = new Bench().set(service(key, { ports })).planned(key);
  expect(udpPortsOf(planned).map(({ port }) => port)).toEqual([53]);
  expect([...udpFrontends(udpPortsOf(planned), options).keys()]).toEqual(['172.30.0.41:53']);
  expect(udpPortsOf(undefined)).toEqual([]);
});

test('an endpoint that serves while it ends is used by nobody as long as one is ready', () => {
  const bench = new Bench().set(
    service(key),
    slice(key, [
      endpoint('10.1.0.1', 'here', servingTerminating),
      endpoint('10.1.0.2'),
      endpoint('10.1.0.3', 'here', notReady),
    ]),
  );
  expect(bench.port(key).endpoints.map(({ inCluster }) => inCluster)).toEqual([
    { used: false, why: 'terminating' },
    { used: true, why: 'ready' },
    { used: false, why: 'not-ready' },
  ]);
});

describe('hints for nodes', () => {
  const hinted = (address: string, ...hintNodes: readonly string[]) => endpoint(address, 'there', { hintNodes });
  test.each([
    ['all have one, and one is for this node', [hinted('10.1.0.1', 'here'), hinted('10.1.0.2', 'there')], ['10.1.0.1']],
    ['one has none', [hinted('10.1.0.1', 'here'), hinted('10.1.0.2')], ['10.1.0.1', '10.1.0.2']],
    ['none is for this node', [hinted('10.1.0.1', 'there'), hinted('10.1.0.2', 'there')], ['10.1.0.1', '10.1.0.2']],
  ] as const)('%s', (_, endpoints, expected) => {
    const bench = new Bench().set(service(key), slice(key, endpoints));
    expect(bench.port(key).clusterEndpoints.map(({ address }) => address)).toEqual(expected);
  });
});

test('policy Local rejects where nobody in the cluster can be used, and drops where somebody elsewhere can', () => {
  const shape = { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ nodePort: 30_080 }] } as const;
  const reach = (one: Partial<Endpoint>) =>
    new Bench().set(service(key, shape), slice(key, [endpoint('10.1.0.1', 'there', one)])).port(key).external;
  expect([reach({}), reach(servingTerminating), reach(notReady)]).toEqual(['drop', 'drop', 'reject']);
});

test('a Service that was made anew is younger than it was', () => {
  const bench = new Bench().set(service('ns/a', { createdAtMs: 1000 }), service('ns/b', { createdAtMs: 2000 }));
  expect(bench.port('ns/a').yielded.size).toBe(0);
  bench.set(service('ns/a', { createdAtMs: 3000 }));
  expect([bench.port('ns/a').yielded.size, bench.port('ns/b').yielded.size]).toEqual([1, 0]);
});

test('nothing is said of a Service that is not served here', () => {
  const bench = new Bench().set(service(key, { headless: true, clusterIps: [], healthCheckNodePort: 70_000 }));
  expect([bench.planned(key).ports, bench.diagnostics]).toEqual([[], []]);
});
