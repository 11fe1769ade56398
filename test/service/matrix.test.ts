/** Who reaches what, and whose address the endpoint sees (kube-proxy.md 1.11; scenario 68 and others), walked through the chains. */
import { describe, expect, test } from 'vitest';
import type { ServiceOptions } from '../../src/service/options.ts';
import { Bench, cidr, endpoint, ip, notReady, service, slice, tcp } from './fixtures.ts';
import { type Probe, probe } from './flows.ts';
import { type Client, type Configuration, expectedOf, type Frontend, rows } from './truth-table.ts';

const here = '10.180.0.1:80';
const there = '10.180.1.1:80';
const all = [here, there];
const endpoints = [endpoint('10.180.0.1', 'here'), endpoint('10.180.1.1')];

const frontends = {
  clusterIp: { to: '172.30.0.41', port: 80 },
  nodePort: { to: '192.168.0.2', port: 30_080 },
  loadBalancer: { to: '1.2.3.4', port: 80 },
  externalIp: { to: '5.6.7.8', port: 80 },
} as const;

const configurations: Readonly<Record<string, Configuration & { readonly options: Partial<ServiceOptions> }>> = {
  base: { hasDetector: true, masqueradeAll: false, options: {} },
  'no detector': { hasDetector: false, masqueradeAll: false, options: { detector: { kind: 'none' } } },
  masqueradeAll: { hasDetector: true, masqueradeAll: true, options: { masqueradeAll: true } },
  'masqueradeAll, no detector': {
    hasDetector: false,
    masqueradeAll: true,
    options: { masqueradeAll: true, detector: { kind: 'none' } },
  },
};
const clients: readonly Client[] = ['pod', 'node', 'outside'];

const full = {
  type: 'LoadBalancer',
  loadBalancerIps: ['1.2.3.4'],
  externalIps: ['5.6.7.8'],
  ports: [{ nodePort: 30_080 }],
} as const;

const cases = Object.entries(configurations).flatMap(([name, configuration]) =>
  rows.map((row) => ({ name, configuration, row, ...row })),
);

/** One policy within, the other without: each frontend goes by its own. */
const mixed = cases.flatMap((one) => (['Cluster', 'Local'] as const).map((other) => ({ ...one, other })));

test.each(mixed)('68: $name: $from -> $frontend, policy $policy, the other $other', (one) => {
  const { configuration, row, from, frontend, policy, other } = one;
  const isInternal = frontend === 'clusterIp';
  const bench = new Bench(configuration.options).set(
    service('ns/web', {
      ...full,
      externalTrafficPolicy: isInternal ? other : policy,
      internalTrafficPolicy: isInternal ? policy : other,
    }),
    slice('ns/web', endpoints),
  );
  const { reaches, masquerade } = expectedOf(row, configuration);
  const answer = { reaches: reaches === 'all' ? all : [here], masquerade };
  expect(probe(bench, { from, ...frontends[frontend] })).toEqual(answer);
});

test.each(['bridge', 'interfacePrefix', 'nodeCidr'] as const)('the detector %s tells pods from others', (kind) => {
  const detector = {
    bridge: { kind: 'bridge', name: 'cni0' },
    interfacePrefix: { kind: 'interfacePrefix', prefix: 'cni' },
    nodeCidr: { kind: 'nodeCidr', cidrs: [cidr('10.0.0.0/24')] },
  } as const;
  const bench = new Bench({ detector: detector[kind] }).set(service('ns/web'), slice('ns/web', endpoints));
  const masqueraded = clients.map((from) => probe(bench, { from, ...frontends.clusterIp }));
  expect(masqueraded).toMatchObject([{ masquerade: false }, { masquerade: true }, { masquerade: true }]);
});

describe('nothing local, policy Local', () => {
  const policy = { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' } as const;
  const bench = new Bench().set(service('ns/web', { ...full, ...policy }), slice('ns/web', [endpoint('10.180.1.1')]));
  const rowsOfNothing: readonly (readonly [string, Client, Frontend, 'drop' | 'serve'])[] = [
    ['56', 'outside', 'nodePort', 'drop'],
    ['56', 'outside', 'loadBalancer', 'drop'],
    ['59', 'pod', 'loadBalancer', 'serve'],
    ['59', 'node', 'nodePort', 'serve'],
    ['62', 'pod', 'clusterIp', 'drop'],
    ['62', 'node', 'clusterIp', 'drop'],
  ];
  test.each(rowsOfNothing)('%s: %s -> %s: %s', (_, from, frontend, outcome) => {
    const answer = probe(bench, { from, ...frontends[frontend] });
    if (outcome === 'drop') expect(answer).toBe('drop');
    else expect(answer).toMatchObject({ reaches: [there] });
  });
});

describe('no endpoints', () => {
  const bench = new Bench().set(service('ns/web', full));
  const outcomes = (frontend: Frontend) => clients.map((from) => probe(bench, { from, ...frontends[frontend] }));

  test.each(['clusterIp', 'nodePort'] as const)('3, 34: everybody is rejected at the %s', (frontend) => {
    expect(outcomes(frontend)).toEqual(['reject', 'reject', 'reject']);
  });

  test.each(['loadBalancer', 'externalIp'] as const)(
    '49: at the %s all but the node, which kube-proxy lets out too',
    (frontend) => {
      const { to, port } = frontends[frontend];
      expect(outcomes(frontend)).toEqual(['reject', { reaches: [`${to}:${port}`], masquerade: false }, 'reject']);
    },
  );
});

describe('source ranges', () => {
  const ranges = { loadBalancerSourceRanges: [cidr('203.0.113.0/25'), cidr('10.0.0.7/32'), cidr('192.168.0.0/24')] };
  const bench = new Bench().set(service('ns/web', { ...full, ...ranges }), slice('ns/web', endpoints));
  const rowsOfRanges: readonly (readonly [string, Probe, boolean])[] = [
    ['44: a client inside', { from: 'outside', ...frontends.loadBalancer }, true],
    ['44: a client outside', { from: 'outside', source: '203.0.113.200', ...frontends.loadBalancer }, false],
    ['44: a pod inside', { from: 'pod', ...frontends.loadBalancer }, true],
    ['44: a pod outside', { from: 'pod', source: '10.0.0.8', ...frontends.loadBalancer }, false],
    [
      '45: the node with the balancer’s own address',
      { from: 'node', source: '1.2.3.4', ...frontends.loadBalancer },
      true,
    ],
    ['38: nodePorts have no ranges', { from: 'outside', source: '203.0.113.200', ...frontends.nodePort }, true],
    ['external IPs have none either', { from: 'outside', source: '203.0.113.200', ...frontends.externalIp }, true],
  ];
  test.each(rowsOfRanges)('%s', (_, sent, isServed) => {
    const answer = probe(bench, sent);
    if (isServed) expect(answer).toMatchObject({ reaches: all });
    else expect(answer).toBe('drop');
  });
});

describe('ports and protocols', () => {
  const ports = [
    { name: 'tcp', port: 80 },
    { name: 'udp', port: 80, protocol: 'UDP' },
    { name: 'sctp', port: 80, protocol: 'SCTP' },
  ] as const;
  const bench = new Bench().set(
    service('ns/web', { ports }),
    slice('ns/web', [endpoint('10.180.0.1', 'here')], {
      ports: [
        tcp(8080, 'tcp'),
        { name: 'udp', protocol: 'UDP', port: 5353 },
        { name: 'sctp', protocol: 'SCTP', port: 38_412 },
      ],
    }),
  );
  test.each([
    ['TCP', 8080],
    ['UDP', 5353],
    ['SCTP', 38_412],
  ] as const)('6, 7: %s goes to its own port', (protocol, port) => {
    expect(probe(bench, { from: 'pod', to: '172.30.0.41', port: 80, protocol })).toEqual({
      reaches: [`10.180.0.1:${port}`],
      masquerade: false,
    });
  });

  test('8: the UDP port goes: TCP stays', () => {
    bench.set(service('ns/web', { ports: ports.slice(0, 1) }));
    expect(probe(bench, { from: 'pod', to: '172.30.0.41', port: 80, protocol: 'UDP' })).toMatchObject({
      reaches: ['172.30.0.41:80'],
    });
    expect(probe(bench, { from: 'pod', to: '172.30.0.41', port: 80 })).toMatchObject({ reaches: ['10.180.0.1:8080'] });
  });

  test('8: the TCP port goes: UDP stays', () => {
    const rest = new Bench().set(...bench.store.endpointSlices.values(), service('ns/web', { ports: ports.slice(1) }));
    expect(probe(rest, { from: 'pod', to: '172.30.0.41', port: 80 })).toMatchObject({ reaches: ['172.30.0.41:80'] });
    expect(probe(rest, { from: 'pod', to: '172.30.0.41', port: 80, protocol: 'UDP' })).toMatchObject({
      reaches: ['10.180.0.1:5353'],
    });
  });

  test('9: a datagram to a port that is there for TCP alone matches nothing', () => {
    const tcpAlone = new Bench().set(service('ns/web', full), slice('ns/web', endpoints));
    for (const { to, port } of Object.values(frontends)) {
      const untouched = { reaches: [`${to}:${port}`], masquerade: false };
      expect(probe(tcpAlone, { from: 'outside', to, port, protocol: 'UDP' })).toEqual(untouched);
    }
  });

  test('10: one Service’s address with the port of another matches nothing', () => {
    const other = service('ns/other', { clusterIps: ['172.30.0.42'], ports: [{ port: 81 }] });
    const two = new Bench().set(service('ns/web'), slice('ns/web', endpoints), other, slice('ns/other', endpoints));
    expect(probe(two, { from: 'pod', to: '172.30.0.42', port: 81 })).toMatchObject({ reaches: all });
    for (const [to, port] of [
      ['172.30.0.41', 81],
      ['172.30.0.42', 80],
    ] as const) {
      expect(probe(two, { from: 'pod', to, port })).toEqual({ reaches: [`${to}:${port}`], masquerade: false });
    }
  });

  test('13: an endpoint that reaches itself is masqueraded', () => {
    const answer = probe(bench, { from: 'pod', source: '10.180.0.1', to: '172.30.0.41', port: 80 });
    expect(answer).toEqual({ reaches: ['10.180.0.1:8080'], masquerade: true });
  });
});

test('13: of several endpoints only itself sees a client hidden', () => {
  const bench = new Bench().set(service('ns/web', full), slice('ns/web', endpoints));
  const own = { from: 'pod', source: '10.180.0.1' } as const;
  const without = (dropped: string) =>
    new Bench().set(
      service('ns/web', full),
      slice(
        'ns/web',
        endpoints.filter(({ addresses }) => addresses[0] !== dropped),
      ),
    );
  expect(probe(bench, { ...own, ...frontends.clusterIp })).toEqual({ reaches: all, masquerade: true });
  expect(probe(without('10.180.1.1'), { ...own, ...frontends.clusterIp })).toEqual({
    reaches: [here],
    masquerade: true,
  });
  expect(probe(without('10.180.0.1'), { ...own, ...frontends.clusterIp })).toEqual({
    reaches: [there],
    masquerade: false,
  });
});

describe('where nodePorts answer', () => {
  const web = [service('ns/web', full), slice('ns/web', endpoints)];
  const rowsOfPlaces: readonly (readonly [string, Partial<ServiceOptions>, Probe, boolean])[] = [
    ['30: localhost', {}, { from: 'node', source: '127.0.0.1', to: '127.0.0.1', port: 30_080 }, true],
    [
      '31: switched off',
      { localhostNodePorts: false },
      { from: 'node', source: '127.0.0.1', to: '127.0.0.1', port: 30_080 },
      false,
    ],
    [
      '31: not among the addresses',
      chosen('192.168.0.0/24'),
      { from: 'node', source: '127.0.0.1', to: '127.0.0.1', port: 30_080 },
      false,
    ],
    [
      'among the addresses',
      chosen('127.0.0.0/8'),
      { from: 'node', source: '127.0.0.1', to: '127.0.0.1', port: 30_080 },
      true,
    ],
    ['32: ::1 never', {}, { from: 'node', source: '::1', to: '::1', port: 30_080 }, false],
    ['29: a chosen address', chosen('192.168.0.0/24'), { from: 'outside', ...frontends.nodePort }, true],
    ['29: not a chosen address', chosen('172.16.0.0/12'), { from: 'outside', ...frontends.nodePort }, false],
    [
      '29: another of the node’s addresses is chosen',
      { ...chosen('10.77.0.0/16'), nodeAddresses: [ip('192.168.0.2'), ip('10.77.0.2')] },
      { from: 'outside', ...frontends.nodePort },
      false,
    ],
    ['29: a /0 among them', chosen('172.16.0.0/12', '0.0.0.0/0'), { from: 'outside', ...frontends.nodePort }, true],
    ['29: only of the other family', chosen('fd00::/8'), { from: 'outside', ...frontends.nodePort }, true],
  ];
  test.each(rowsOfPlaces)('%s', (_, overrides, sent, isServed) => {
    const answer = probe(new Bench(overrides).set(...web), sent);
    const untouched = {
      reaches: [`${sent.to.includes(':') ? `[${sent.to}]` : sent.to}:${sent.port}`],
      masquerade: false,
    };
    if (isServed) expect(answer).toEqual({ reaches: all, masquerade: true });
    else expect(answer).toEqual(untouched);
  });

  test('28: the jump to the nodePorts is last', () => {
    expect(
      new Bench()
        .set(...web)
        .rules('nat', 'KUBE-SERVICES')
        .at(-1),
    ).toMatch(/ -j KUBE-NODEPORTS$/);
  });

  test('35: one number for TCP and UDP', () => {
    const udp = service('ns/dns', {
      type: 'NodePort',
      clusterIps: ['172.30.0.53'],
      ports: [{ protocol: 'UDP', nodePort: 30_080 }],
    });
    const bench = new Bench().set(
      ...web,
      udp,
      slice('ns/dns', [endpoint('10.180.0.53', 'here')], {
        ports: [{ name: '', protocol: 'UDP', port: 53 }],
      }),
    );
    expect(probe(bench, { from: 'outside', ...frontends.nodePort, protocol: 'UDP' })).toMatchObject({
      reaches: ['10.180.0.53:53'],
    });
    expect(probe(bench, { from: 'outside', ...frontends.nodePort })).toMatchObject({ reaches: all });
  });

  test('36: a nodePort that changes', () => {
    const bench = new Bench().set(...web).set(service('ns/web', { ...full, ports: [{ nodePort: 30_081 }] }));
    expect(probe(bench, { from: 'outside', ...frontends.nodePort })).toMatchObject({ reaches: ['192.168.0.2:30080'] });
    expect(probe(bench, { from: 'outside', to: '192.168.0.2', port: 30_081 })).toMatchObject({ reaches: all });
  });

  function chosen(...texts: readonly string[]): Partial<ServiceOptions> {
    return { nodePortAddresses: texts.map(cidr) };
  }
});

test('33: a neighbour’s packet to 127.0.0.1 is dropped', () => {
  const bench = new Bench().set();
  expect(probe(bench, { from: 'outside', to: '127.0.0.1', port: 22 })).toBe('drop');
});

test('89, 90: affinity follows the endpoints', () => {
  const sticky = service('ns/web', { sessionAffinitySeconds: 60 });
  const bench = new Bench().set(sticky, slice('ns/web', endpoints));
  const lists = () => bench.rules('nat', bench.chainNames('nat').find((name) => name.startsWith('KUBE-SVC-')) ?? '');
  const [kept, gone] = lists().flatMap((rule) => /--name (\S+)/.exec(rule)?.[1] ?? []);
  const unready = endpoints.map((one, index) => (index === 0 ? one : { ...one, ...notReady }));
  for (const left of [unready, endpoints.slice(0, 1)]) {
    bench.set(slice('ns/web', endpoints));
    bench.set(slice('ns/web', left));
    expect(lists().join()).toContain(kept);
    expect(lists().join()).not.toContain(gone);
    // Written again its rules would be new, and the kernel's list of clients with them.
    expect(bench.touched).toContain(`nat ${gone}`);
    expect(bench.touched).not.toContain(`nat ${kept}`);
  }
  bench.set(service('ns/web', { sessionAffinitySeconds: 7200 }));
  expect(bench.touched).toEqual([`nat ${bench.chainNames('nat').find((name) => name.startsWith('KUBE-SVC-'))}`]);
  expect(lists().join()).toContain('--rcheck --seconds 7200 --reap');
  bench.set(service('ns/web'));
  expect(
    bench
      .chainNames('nat')
      .flatMap((name) => bench.rules('nat', name))
      .join(),
  ).not.toContain('recent');
});

test('addresses of IPv6 work the same', () => {
  const dual = service('ns/web', {
    ...full,
    clusterIps: ['fd00:172:30::41'],
    loadBalancerIps: ['2001:db8::1'],
    externalIps: [],
  });
  const bench = new Bench().set(dual, slice('ns/web', [endpoint('fd00:10:180::1', 'here')]));
  const answers = [
    { to: 'fd00:172:30::41', port: 80 },
    { to: '2001:db8::1', port: 80 },
    { to: 'fd00:192::2', port: 30_080 },
  ].map((frontend) => probe(bench, { from: 'outside', ...frontend }));
  expect(answers).toEqual(answers.map(() => ({ reaches: ['[fd00:10:180::1]:80'], masquerade: true })));
});
