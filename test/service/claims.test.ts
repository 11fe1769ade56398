/** Services that claim one frontend: the oldest has it, then the first by name; nothing else is disturbed. */
import { describe, expect, test } from 'vitest';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { udpFrontends, udpPortsOf } from '../../src/service/udp-flows.ts';
import { Bench, endpoint, options, type ServiceShape, service, slice } from './fixtures.ts';
import { type Probe, probe } from './flows.ts';

const addressOf = { 'ns/a': '10.1.0.1', 'ns/b': '10.1.0.2', 'ns/c': '10.1.0.3' } as const;
type Key = keyof typeof addressOf;

const removed = (key: Key): ClusterChange => ({ type: 'delete', kind: 'Service', key });

/** A Service with one endpoint of its own on this node. */
function backed(bench: Bench, key: Key, shape: ServiceShape): void {
  bench.set(service(key, shape), slice(key, [endpoint(addressOf[key], 'here')]));
}

const balancer = (index: number): ServiceShape => ({
  type: 'LoadBalancer',
  clusterIps: [`172.30.0.${index}`],
  externalTrafficPolicy: 'Local',
});

/** What two Services claim, how a client asks for it, and where the loser is told of it. */
interface Contest {
  readonly shape: (index: number) => ServiceShape;
  readonly client: Probe;
  readonly path: string;
  readonly frontend: string;
}

const contests: readonly [string, Contest][] = [
  [
    'a ClusterIP',
    {
      shape: () => ({ clusterIps: ['172.30.0.9'] }),
      client: { from: 'pod', to: '172.30.0.9', port: 80 },
      path: 'spec.clusterIPs',
      frontend: '172.30.0.9:80/TCP',
    },
  ],
  [
    'an IPv6 ClusterIP',
    {
      shape: (index) => ({ clusterIps: [`172.30.0.${index}`, 'fd00:172::9'] }),
      client: { from: 'pod', to: 'fd00:172::9', port: 80 },
      path: 'spec.clusterIPs',
      frontend: '[fd00:172::9]:80/TCP',
    },
  ],
  [
    'an external IP',
    {
      shape: (index) => ({ clusterIps: [`172.30.0.${index}`], externalIps: ['198.51.100.1'] }),
      client: { from: 'outside', to: '198.51.100.1', port: 80 },
      path: 'spec.externalIPs[0]',
      frontend: '198.51.100.1:80/TCP',
    },
  ],
  [
    'a load balancer address',
    {
      shape: (index) => ({ ...balancer(index), loadBalancerIps: ['203.0.113.1'] }),
      client: { from: 'outside', to: '203.0.113.1', port: 80 },
      path: 'status.loadBalancer.ingress[0].ip',
      frontend: '203.0.113.1:80/TCP',
    },
  ],
  [
    'a nodePort',
    {
      shape: (index) => ({ ...balancer(index), ports: [{ nodePort: 30_080 }] }),
      client: { from: 'outside', to: '192.168.0.2', port: 30_080 },
      path: 'spec.ports[0].nodePort',
      frontend: 'nodePort 30080/TCP (ipv4)',
    },
  ],
];

describe.each(contests)('%s', (_, { shape, client, path, frontend }) => {
  /** IPv6 clients need IPv6 endpoints. */
  const serve = (bench: Bench, key: Key, more: ServiceShape = {}): void => {
    backed(bench, key, { ...shape(Number(addressOf[key].at(-1))), ...more });
    bench.set(slice(key, [endpoint(addressOf[key].replace('10.1.0.', 'fd00:10::'), 'here')], { suffix: 'v6' }));
  };
  /** The last digit of the endpoint. */
  const who = (bench: Bench): readonly string[] => {
    const answer = probe(bench, client);
    if (typeof answer === 'string') return [answer];
    return answer.reaches.map((to) => /(\d)\]?:80$/.exec(to)?.[1] ?? to);
  };

  test('the first by name, in whatever order they come', () => {
    for (const order of [
      ['ns/a', 'ns/b', 'ns/c'],
      ['ns/c', 'ns/b', 'ns/a'],
      ['ns/b', 'ns/c', 'ns/a'],
    ] as const) {
      const bench = new Bench();
      for (const key of order) serve(bench, key);
      expect(who(bench)).toEqual(['1']);
      expect(bench.diagnostics.map(formatDiagnostic).toSorted()).toEqual(
        ['b', 'c'].map(
          (loser) =>
            `Service ns/${loser}: ${path}: ${frontend} is also claimed by Service ns/a, which comes first by name and has it; Service ns/${loser} is not served there`,
        ),
      );
    }
  });

  test('the oldest, whatever its name', () => {
    const bench = new Bench();
    serve(bench, 'ns/a', { createdAtMs: 2000 });
    serve(bench, 'ns/b', { createdAtMs: 1000 });
    expect(who(bench)).toEqual(['2']);
    const [problem] = bench.diagnostics;
    expect(bench.diagnostics).toHaveLength(1);
    expect(problem).toMatchObject({ severity: 'error', object: 'Service ns/a', path });
    expect(problem?.message).toContain('Service ns/b, which is older');
  });

  test('when the first goes or lets go, the next takes over; when it comes back, it has it again', () => {
    const bench = new Bench();
    for (const key of ['ns/a', 'ns/b', 'ns/c'] as const) serve(bench, key);
    const before = bench.text();
    bench.apply([removed('ns/a')]);
    expect(who(bench)).toEqual(['2']);
    bench.apply([removed('ns/b')]);
    expect(who(bench)).toEqual(['3']);
    expect(bench.diagnostics).toEqual([]);
    serve(bench, 'ns/b');
    bench.set(service('ns/a', { clusterIps: ['172.30.1.1', 'fd00:172::aa'] }));
    expect(who(bench)).toEqual(['2']);
    serve(bench, 'ns/a');
    expect(bench.text()).toEqual(before);
  });

  test('nobody else is touched', () => {
    const bench = new Bench();
    serve(bench, 'ns/a');
    bench.set(service('ns/other', { clusterIps: ['172.30.2.2'] }), slice('ns/other', [endpoint('10.1.0.9')]));
    const other = { from: 'pod', to: '172.30.2.2', port: 80 } as const;
    serve(bench, 'ns/b');
    expect(bench.touched.filter((name) => /KUBE-(SVC|SEP)/.test(name) && name.includes('ns/other'))).toEqual([]);
    expect(probe(bench, other)).toMatchObject({ reaches: ['10.1.0.9:80'] });
  });
});

test('the loser is served at its other frontends', () => {
  const bench = new Bench();
  backed(bench, 'ns/a', { clusterIps: ['172.30.0.1'], externalIps: ['198.51.100.1'] });
  backed(bench, 'ns/b', { clusterIps: ['172.30.0.2'], externalIps: ['198.51.100.1', '198.51.100.2'] });
  expect(probe(bench, { from: 'pod', to: '172.30.0.2', port: 80 })).toMatchObject({ reaches: ['10.1.0.2:80'] });
  expect(probe(bench, { from: 'outside', to: '198.51.100.2', port: 80 })).toMatchObject({ reaches: ['10.1.0.2:80'] });
  expect(bench.port('ns/b').yielded).toEqual(new Map([['198.51.100.1:80/TCP', 'ns/a']]));
});

test('one address with several ports or protocols is no conflict', () => {
  const bench = new Bench();
  const at = (port: number, protocol: 'TCP' | 'UDP'): ServiceShape => ({
    clusterIps: ['172.30.0.9'],
    ports: [{ port, protocol, nodePort: 30_000 + port }],
    type: 'NodePort',
  });
  bench.set(service('ns/a', at(80, 'TCP')), service('ns/b', at(81, 'TCP')), service('ns/c', at(80, 'UDP')));
  expect(bench.diagnostics).toEqual([]);
});

test('a Service that names one address twice has no conflict with itself', () => {
  const bench = new Bench();
  const twice = { type: 'LoadBalancer', externalIps: ['203.0.113.1'], loadBalancerIps: ['203.0.113.1'] } as const;
  backed(bench, 'ns/a', { ...twice, clusterIps: ['172.30.0.1'] });
  expect(bench.diagnostics).toEqual([]);
});

test('a frontend without endpoints is refused by the one that has it, whoever else could serve it', () => {
  const bench = new Bench();
  bench.set(service('ns/a', { externalIps: ['198.51.100.1'], clusterIps: ['172.30.0.1'] }));
  backed(bench, 'ns/b', { externalIps: ['198.51.100.1'], clusterIps: ['172.30.0.2'] });
  expect(probe(bench, { from: 'outside', to: '198.51.100.1', port: 80 })).toBe('reject');
});

test('a health check port that is somebody else’s nodePort is not listened on', () => {
  const bench = new Bench();
  backed(bench, 'ns/a', { type: 'NodePort', clusterIps: ['172.30.0.1'], ports: [{ nodePort: 32_000 }] });
  const claims = { ...balancer(2), loadBalancerIps: ['203.0.113.1'], healthCheckNodePort: 32_000 };
  backed(bench, 'ns/b', claims);
  expect(bench.planned('ns/b').healthCheck).toBeUndefined();
  expect(bench.rules('filter', 'KUBE-NODEPORTS')).toEqual([]);
  expect(bench.diagnostics).toMatchObject([{ object: 'Service ns/b', path: 'spec.healthCheckNodePort' }]);
  bench.apply([removed('ns/a')]);
  expect(bench.planned('ns/b').healthCheck).toMatchObject({ nodePort: 32_000 });
  expect(bench.diagnostics).toEqual([]);
});

test('UDP flows of a contested frontend belong to the one that has it', () => {
  const bench = new Bench();
  for (const key of ['ns/a', 'ns/b'] as const) {
    const ports = [{ protocol: 'UDP', port: 53, nodePort: 30_053 } as const];
    bench.set(
      service(key, { type: 'NodePort', clusterIps: ['172.30.0.9'], ports }),
      slice(key, [endpoint(addressOf[key])], { ports: [{ name: '', protocol: 'UDP', port: 53 }] }),
    );
  }
  const ports = ['ns/a', 'ns/b'].flatMap((key) => udpPortsOf(bench.planned(key)));
  const frontends = udpFrontends(ports, options);
  expect(frontends.get('172.30.0.9:53')).toEqual(new Set(['10.1.0.1:53']));
  expect(frontends.get('192.168.0.2:30053')).toEqual(new Set(['10.1.0.1:53']));
});
