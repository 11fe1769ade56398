/** Which endpoints a Service uses, and what its frontends do: the plan alone. Numbers are those of kube-proxy.md section 4. */
import { describe, expect, test } from 'vitest';
import type { Endpoint, EndpointSlice, Service } from '../../src/cluster/objects.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';
import type { ServiceOptions } from '../../src/service/options.ts';
import {
  Bench,
  cidr,
  endpoint,
  goneTerminating,
  ip,
  node,
  notReady,
  onNoNode,
  type ServiceShape,
  service,
  servingTerminating,
  slice,
  tcp,
  used,
} from './fixtures.ts';
import { probe } from './flows.ts';

const key = 'ns/web';
const a = '10.1.0.1';
const b = '10.1.0.2';
const c = '10.1.0.3';

interface Outcome {
  readonly cluster?: readonly string[];
  readonly local?: readonly string[];
  readonly internal?: 'serve' | 'reject' | 'drop';
  readonly external?: 'serve' | 'reject' | 'drop';
}

function decide(shape: ServiceShape, endpoints: readonly Endpoint[], zone = 'zone-a'): Outcome {
  const port = new Bench().set(node(zone), service(key, shape), slice(key, endpoints)).port(key);
  return {
    cluster: used(port.clusterEndpoints),
    local: used(port.localEndpoints),
    internal: port.internal,
    external: port.external,
  };
}

const nodePort = { type: 'NodePort', ports: [{ nodePort: 30_080 }] } as const;
const externalLocal = { ...nodePort, externalTrafficPolicy: 'Local' } as const;
const internalLocal = { internalTrafficPolicy: 'Local' } as const;

describe('readiness and traffic policies', () => {
  const rows: readonly (readonly [string, ServiceShape, readonly Endpoint[], Outcome])[] = [
    ['70: not ready', {}, [endpoint(a, 'here', notReady)], { cluster: [], internal: 'reject' }],
    [
      '70: publishNotReadyAddresses: the slice says ready',
      {},
      [endpoint(a, 'here', { serving: false })],
      { cluster: [a] },
    ],
    [
      '70: publishNotReadyAddresses, and it terminates: the slice says ready all the same',
      externalLocal,
      [
        endpoint(a, 'here', { serving: false, terminating: true }),
        endpoint(b, 'here', servingTerminating),
        endpoint(c),
      ],
      { cluster: [a, c], local: [a], external: 'serve' },
    ],
    [
      '71: nothing ready: serving and terminating ones',
      {},
      [endpoint(a, 'there', servingTerminating)],
      { cluster: [a] },
    ],
    [
      '72: nothing local ready: the local serving and terminating one',
      externalLocal,
      [endpoint(a, 'here', servingTerminating), endpoint(b)],
      { cluster: [b], local: [a], external: 'serve' },
    ],
    [
      '72: a local one is ready: only that one',
      externalLocal,
      [endpoint(a, 'here', servingTerminating), endpoint(b, 'here')],
      { cluster: [b], local: [b] },
    ],
    [
      '73: one ready elsewhere: only that one',
      {},
      [endpoint(a, 'here', servingTerminating), endpoint(b)],
      { cluster: [b], local: [] },
    ],
    [
      '74: terminating and not serving',
      {},
      [endpoint(a, 'here', goneTerminating)],
      { cluster: [], internal: 'reject' },
    ],
    [
      '75: policy Local falls back by itself',
      internalLocal,
      [endpoint(a, 'here', servingTerminating), endpoint(b)],
      { cluster: [], local: [a], internal: 'serve' },
    ],
    [
      '56: policy Local, nothing local',
      externalLocal,
      [endpoint(a)],
      { cluster: [a], external: 'drop', internal: 'serve' },
    ],
    ['56: policy Local, nothing at all', externalLocal, [], { external: 'reject', internal: 'reject' }],
    ['61: internal Local', internalLocal, [endpoint(a), endpoint(b, 'here')], { local: [b], internal: 'serve' }],
    [
      '62: internal Local, only elsewhere',
      internalLocal,
      [endpoint(a)],
      { local: [], internal: 'drop', external: 'serve' },
    ],
    [
      '63: internal Local leaves the nodePort alone',
      { ...nodePort, ...internalLocal },
      [endpoint(a)],
      { cluster: [a], internal: 'drop', external: 'serve' },
    ],
    ['64: internal Local alone needs no list for Cluster', internalLocal, [endpoint(b, 'here')], { cluster: [] }],
    [
      '65: external Local on a plain ClusterIP',
      { externalTrafficPolicy: 'Local' },
      [endpoint(a)],
      { cluster: [a], local: [], external: 'serve' },
    ],
    [
      '65: but not with an external IP',
      { externalTrafficPolicy: 'Local', externalIps: ['192.0.2.1'] },
      [endpoint(a)],
      { local: [], external: 'drop' },
    ],
    ['97: no node name: not local', internalLocal, [onNoNode(a)], { local: [], internal: 'drop' }],
  ];
  test.each(rows)('%s', (_, shape, endpoints, expected) => {
    expect(decide(shape, endpoints)).toMatchObject(expected);
  });
});

describe('topology hints', () => {
  const inZone = (address: string, ...hintZones: readonly string[]) => endpoint(address, 'there', { hintZones });
  const onNode = (address: string, ...hintNodes: readonly string[]) => endpoint(address, 'there', { hintNodes });
  const rows: readonly (readonly [string, readonly Endpoint[], readonly string[]])[] = [
    [
      '77: one of several that name this zone has a hint of nodes alone',
      [inZone(a, 'zone-a'), inZone(b, 'zone-b'), onNode(c, 'here')],
      [a, b, c],
    ],
    [
      '78: hints of both kinds: the node comes before the zone',
      [
        endpoint(a, 'here', { hintNodes: ['here'], hintZones: ['zone-a'] }),
        endpoint(b, 'there', { hintNodes: ['there'], hintZones: ['zone-a'] }),
      ],
      [a],
    ],
    [
      '78: one without a hint of nodes switches them off, the zone decides',
      [
        endpoint(a, 'here', { hintNodes: ['here'], hintZones: ['zone-a'] }),
        endpoint(b, 'there', { hintZones: ['zone-a'] }),
        endpoint(c, 'there', { hintNodes: ['there'], hintZones: ['zone-b'] }),
      ],
      [a, b],
    ],
    [
      '82: hints of what only terminates do not count, nor does it follow them',
      [
        endpoint(a, 'there', { ...servingTerminating, hintZones: ['zone-b'] }),
        endpoint(b, 'there', { ...servingTerminating, hintZones: ['zone-a'] }),
      ],
      [a, b],
    ],
    [
      '76: all hinted, some to this zone',
      [inZone(a, 'zone-a'), inZone(b, 'zone-b'), inZone(c, 'zone-b', 'zone-a')],
      [a, c],
    ],
    ['77: one has no hint', [inZone(a, 'zone-a'), inZone(b, 'zone-b'), endpoint(c)], [a, b, c]],
    ['77: none to this zone', [inZone(a, 'zone-b'), inZone(b, 'zone-c')], [a, b]],
    ['78: all hinted to nodes, some to this one', [onNode(a, 'here'), onNode(b, 'there')], [a]],
    ['78: none to this node, then the zone decides', bothHints('there', 'zone-b').concat(inZone(c, 'zone-a')), [c]],
    ['80: the hinted one is not ready', [{ ...inZone(a, 'zone-a'), ...notReady }, inZone(b, 'zone-b')], [b]],
    [
      '82: one that is not ready has no vote',
      [inZone(a, 'zone-a'), inZone(b, 'zone-b'), endpoint(c, 'there', notReady)],
      [a],
    ],
  ];
  test.each(rows)('%s', (_, endpoints, expected) => {
    expect(decide({}, endpoints).cluster).toEqual(expected);
  });

  test('77: the node has no zone', () => {
    const bench = new Bench().set(node(), service(key), slice(key, [inZone(a, 'zone-a'), inZone(b, 'zone-b')]));
    expect(used(bench.port(key).clusterEndpoints)).toEqual([a, b]);
  });

  test('79: policy Local does not ask hints', () => {
    const endpoints = [endpoint(a, 'here', { hintZones: ['zone-b'] }), endpoint(b, 'there', { hintZones: ['zone-a'] })];
    expect(decide(externalLocal, endpoints)).toMatchObject({ cluster: [b], local: [a] });
  });

  test('81: a new zone of the node decides every Service again', () => {
    const hinted = slice(key, [inZone(a, 'zone-a'), inZone(b, 'zone-b')]);
    const bench = new Bench().set(node('zone-a'), service(key), hinted);
    bench.set(node('zone-b'));
    expect(used(bench.port(key).clusterEndpoints)).toEqual([b]);
    bench.set({ ...node('zone-b'), addresses: [] });
    expect(bench.touched).toEqual([]);
  });

  function bothHints(hintNode: string, hintZone: string): readonly Endpoint[] {
    return [endpoint(a, 'there', { hintNodes: [hintNode], hintZones: [hintZone] })];
  }
});

describe('slices in every shape', () => {
  const decideSlices = (...slices: readonly EndpointSlice[]) => {
    const port = new Bench().set(service(key), ...slices).port(key);
    return port.clusterEndpoints.map((one) => `${one.address}:${one.port}`);
  };
  const rows: readonly (readonly [string, readonly EndpointSlice[], readonly string[]])[] = [
    ['91: two slices', [slice(key, [endpoint(a)]), slice(key, [endpoint(b)], { suffix: 'b' })], [`${a}:80`, `${b}:80`]],
    [
      '93: one endpoint in two slices: the copy that does not terminate',
      [slice(key, [endpoint(a, 'here', servingTerminating)]), slice(key, [endpoint(a)], { suffix: 'b' })],
      [`${a}:80`],
    ],
    ['94: a port without a number', [slice(key, [endpoint(a)], { ports: [{ name: '', protocol: 'TCP' }] })], []],
    ['94: beside one with a number', [slice(key, [endpoint(a)], { ports: [tcp(0), tcp(80)] })], [`${a}:80`]],
    ['95: no address', [slice(key, [{ ...endpoint(a), addresses: [] }, endpoint(b)])], [`${b}:80`]],
    ['95: only the first address', [slice(key, [{ ...endpoint(a), addresses: [ip(a), ip(b)] }])], [`${a}:80`]],
    [
      '98: a named targetPort of two numbers',
      [
        slice(key, [endpoint(a)], { ports: [tcp(8080)] }),
        slice(key, [endpoint(b)], { ports: [tcp(9090)], suffix: 'b' }),
      ],
      [`${a}:8080`, `${b}:9090`],
    ],
    ['99: of another Service', [slice('ns/other', [endpoint(a)])], []],
    ['99: of another namespace', [slice('other/web', [endpoint(a)])], []],
    ['100: FQDN', [slice(key, [endpoint(a)], { addressType: 'FQDN' })], []],
    ['101: headless label', [slice(key, [endpoint(a)], { labels: { 'service.kubernetes.io/headless': '' } })], []],
    ['21: another port name', [slice(key, [endpoint(a)], { ports: [tcp(80, 'http')] })], []],
    ['21: another protocol', [slice(key, [endpoint(a)], { ports: [{ name: '', protocol: 'UDP', port: 80 }] })], []],
  ];
  test.each(rows)('%s', (_, slices, expected) => {
    expect(decideSlices(...slices)).toEqual(expected);
  });

  test('93: whichever slice comes first', () => {
    const dying = slice(key, [endpoint(a, 'here', servingTerminating)], { suffix: 'z' });
    const alive = slice(key, [endpoint(a)], { suffix: 'b' });
    for (const order of [
      [dying, alive],
      [alive, dying],
    ]) {
      expect(new Bench().set(service(key), ...order).port(key).endpoints).toMatchObject([
        { terminating: false, local: false },
      ]);
    }
  });

  test('92, 5: two slices with the two ports of one Service', () => {
    const ports = [
      { name: 'x', port: 80 },
      { name: 'y', port: 81 },
    ];
    const slices = [
      slice(key, [endpoint(a)], { ports: [tcp(100, 'x')] }),
      slice(key, [endpoint(b)], { ports: [tcp(101, 'y')], suffix: 'b' }),
    ];
    const { ports: planned } = new Bench().set(service(key, { ports }), ...slices).planned(key);
    expect(
      planned.map((port) => port.clusterEndpoints.map((one) => `${port.port} ${one.address}:${one.port}`)),
    ).toEqual([[`80 ${a}:100`], [`81 ${b}:101`]]);
  });

  const v4 = '172.30.0.41';
  const v6 = 'fd00:172:30::41';
  test.each([
    ['IPv4 alone', [v4]],
    ['IPv6 alone', [v6]],
    ['IPv4 first', [v4, v6]],
    ['IPv6 first', [v6, v4]],
  ])('124: %s: each family is served by its own endpoints, and refused by itself', (_, clusterIps) => {
    const slices = { v4: slice(key, [endpoint(a)]), v6: slice(key, [endpoint('fd00:10::1')], { suffix: 'v6' }) };
    const reached = (...own: readonly EndpointSlice[]) => {
      const bench = new Bench().set(service(key, { clusterIps }), ...own);
      return [v4, v6].map((to) => {
        const answer = probe(bench, { from: 'pod', to, port: 80 });
        return typeof answer === 'string' ? answer : answer.reaches.join();
      });
    };
    const has = (address: string, then: string, otherwise: string) => (clusterIps.includes(address) ? then : otherwise);
    expect(reached(slices.v4, slices.v6)).toEqual([
      has(v4, `${a}:80`, `${v4}:80`),
      has(v6, '[fd00:10::1]:80', `[${v6}]:80`),
    ]);
    expect(reached(slices.v4)).toEqual([has(v4, `${a}:80`, `${v4}:80`), has(v6, 'reject', `[${v6}]:80`)]);
    expect(reached(slices.v6)).toEqual([has(v4, 'reject', `${v4}:80`), has(v6, '[fd00:10::1]:80', `[${v6}]:80`)]);
  });

  test('100, 124: each family has its own slices', () => {
    const dual = service(key, { clusterIps: ['fd00:172:30::41', '172.30.0.41'] });
    const bench = new Bench().set(
      dual,
      slice(key, [endpoint('fd00:10::1')], { suffix: 'v6' }),
      slice(key, [endpoint(a)]),
    );
    expect([used(bench.port(key).endpoints), used(bench.port(key, 'ipv6').endpoints)]).toEqual([[a], ['fd00:10::1']]);
  });

  test('103: slices before the Service, or after', () => {
    const objects = [slice(key, [endpoint(a)]), service(key)];
    const texts = [objects, objects.toReversed()].map((order) => {
      const bench = new Bench();
      for (const object of order) bench.set(object);
      return bench.text();
    });
    expect(texts[0]).toEqual(texts[1]);
  });
});

describe('what is served', () => {
  const rows: readonly (readonly [string, ServiceShape])[] = [
    ['18: ExternalName', { type: 'ExternalName', clusterIps: [] }],
    ['19: headless', { headless: true, clusterIps: [] }],
    ['102: another proxy’s', { labels: { 'service.kubernetes.io/service-proxy-name': '' } }],
  ];
  test.each(rows)('%s: no rules', (_, shape) => {
    const bench = new Bench().set(service(key), slice(key, [endpoint(a)]));
    const before = bench.text();
    bench.set(service(key, shape));
    expect(bench.planned(key).ports).toEqual([]);
    expect(bench.text()).toEqual(new Bench().set().text());
    bench.set(service(key));
    expect(bench.text()).toEqual(before);
  });

  const rowsOfFrontends: readonly (readonly [string, ServiceShape, Partial<ServiceOptions>, object])[] = [
    [
      '42: ipMode Proxy',
      balancer({ loadBalancerIngress: [{ ip: ip('1.2.3.4'), ipMode: 'Proxy' }] }),
      {},
      { loadBalancerIps: [] },
    ],
    ['41: ipMode VIP', balancer({ loadBalancerIps: ['1.2.3.4'] }), {}, { loadBalancerIps: ['1.2.3.4'] }],
    ['50: no nodePort', balancer({ loadBalancerIps: ['1.2.3.4'] }), {}, { nodePort: 0, externallyAccessible: true }],
    ['46: a range of /0', ranges('0.0.0.0/0', '10.0.0.0/8'), {}, { sourceRanges: [] }],
    ['48: only ranges of the other family', ranges('fd00::/8'), {}, { sourceRanges: [] }],
    ['44: ranges', ranges('203.0.113.0/24'), {}, { sourceRanges: [cidr('203.0.113.0/24')], nodeInSourceRanges: false }],
    ['45: ranges with the node', ranges('192.168.0.0/16'), {}, { nodeInSourceRanges: true }],
    ['52: external IPs switched off', { externalIps: ['192.0.2.1'] }, { externalIps: false }, { externalIps: [] }],
    ['69: health check only with Local', balancer({ healthCheckNodePort: 31_000 }), {}, { healthCheckNodePort: 0 }],
    [
      '69: health check with Local',
      balancer({ healthCheckNodePort: 31_000, externalTrafficPolicy: 'Local' }),
      {},
      { healthCheckNodePort: 31_000 },
    ],
    ['2: masquerade what is not a pod’s', {}, {}, { masqueradeInternal: 'not-pods', masqueradeExternal: 'everybody' }],
    ['67: masqueradeAll', {}, { masqueradeAll: true }, { masqueradeInternal: 'everybody' }],
    ['no detector', {}, { detector: { kind: 'none' } }, { masqueradeInternal: 'nobody' }],
    [
      'no CIDR of this family',
      {},
      { detector: { kind: 'clusterCidr', cidrs: [cidr('fd00::/8')] } },
      { masqueradeInternal: 'nobody' },
    ],
  ];
  test.each(rowsOfFrontends)('%s', (_, shape, options, expected) => {
    const bench = new Bench(options).set(service(key, shape), slice(key, [endpoint(a)]));
    expect(bench.port(key)).toMatchObject(expected);
  });

  test('119, 120: the health check counts distinct local ready addresses', () => {
    const shape = balancer({
      healthCheckNodePort: 31_000,
      externalTrafficPolicy: 'Local',
      ports: [{ name: 'x' }, { name: 'y', port: 81 }],
    });
    const endpoints = [endpoint(a, 'here'), endpoint(b, 'here', servingTerminating), endpoint(c)];
    const bench = new Bench().set(service(key, shape), slice(key, endpoints, { ports: [tcp(80, 'x'), tcp(81, 'y')] }));
    expect(bench.planned(key).healthCheck).toEqual({ nodePort: 31_000, localEndpoints: { ipv4: 1, ipv6: 0 } });
  });

  test('each endpoint says why it is used or not', () => {
    const endpoints = [endpoint(a, 'here'), endpoint(b, 'there', notReady), endpoint(c, 'there', goneTerminating)];
    const port = new Bench().set(service(key, externalLocal), slice(key, endpoints)).port(key);
    expect(port.endpoints.map(({ inCluster, inLocal }) => [inCluster.why, inLocal.why])).toEqual([
      ['ready', 'ready'],
      ['not-ready', 'on-other-node'],
      ['not-serving', 'on-other-node'],
    ]);
  });

  function balancer(shape: ServiceShape): ServiceShape {
    return { type: 'LoadBalancer', ...shape };
  }

  function ranges(...texts: readonly string[]): ServiceShape {
    return balancer({ loadBalancerIps: ['1.2.3.4'], loadBalancerSourceRanges: texts.map(cidr) });
  }
});

describe('bad input disturbs nothing else', () => {
  const rows: readonly (readonly [string, Service, EndpointSlice, Pick<Diagnostic, 'object' | 'path'>])[] = [
    [
      'port out of range',
      service(key, { ports: [{ port: 70_000 }] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.ports[0].port' },
    ],
    [
      'nodePort out of range',
      service(key, { type: 'NodePort', ports: [{ nodePort: 99_999 }] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.ports[0].nodePort' },
    ],
    [
      'two ports of one number',
      service(key, { ports: [{ name: 'x' }, { name: 'y' }] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.ports[1].port' },
    ],
    [
      'two ports of one name',
      service(key, { ports: [{ port: 80 }, { port: 81 }] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.ports[1].name' },
    ],
    [
      'external IP of another family',
      service(key, { externalIps: ['2001:db8::1'] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.externalIPs[0]' },
    ],
    [
      'two cluster IPs of one family',
      service(key, { clusterIps: ['172.30.0.41', '172.30.0.42'] }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.clusterIPs' },
    ],
    [
      'affinity for ever',
      service(key, { sessionAffinitySeconds: 1e6 }),
      slice(key, [endpoint(a)]),
      { object: 'Service ns/web', path: 'spec.sessionAffinityConfig.clientIP.timeoutSeconds' },
    ],
    [
      'an IPv6 address in an IPv4 slice',
      service(key),
      slice(key, [endpoint(a), endpoint('fd00:10::1')]),
      { object: 'EndpointSlice ns/web-a', path: 'endpoints[1].addresses[0]' },
    ],
    [
      'a slice port out of range',
      service(key),
      slice(key, [endpoint(a)], { ports: [tcp(70_000)] }),
      { object: 'EndpointSlice ns/web-a', path: 'ports[0].port' },
    ],
  ];
  test.each(rows)('%s', (_, bad, badSlice, expected) => {
    const good = [service('ns/good', { clusterIps: ['172.30.0.50'] }), slice('ns/good', [endpoint(b)])];
    const alone = new Bench().set(...good);
    const bench = new Bench().set(bad, badSlice, ...good);
    expect(bench.diagnostics).toMatchObject([expected]);
    const kept = Object.entries(alone.text()).filter(([name]) => /KUBE-(SVC|SEP)-/.test(name));
    expect(kept).toHaveLength(2);
    expect(bench.text()).toMatchObject(Object.fromEntries(kept));
    bench.apply([
      { type: 'delete', kind: 'Service', key },
      { type: 'delete', kind: 'EndpointSlice', key: 'ns/web-a' },
    ]);
    expect(bench.diagnostics).toEqual([]);
    expect(bench.text()).toEqual(alone.text());
  });
});
