/** Services over time: what changes is served anew, everything else is left alone. Numbers are those of kube-proxy.md section 4. */
import { describe, expect, test } from 'vitest';
import { keyOf, type Service } from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { internalChain } from '../../src/service/chains.ts';
import { Bench, endpoint, type ServiceShape, service, slice, tcp } from './fixtures.ts';
import { probe } from './flows.ts';

const key = 'ns/web';
const pod = '10.1.0.1';
const served = { reaches: [`${pod}:80`] };
const clusterIp = { from: 'pod', to: '172.30.0.41', port: 80 } as const;
const nodePort = { from: 'outside', to: '192.168.0.2', port: 30_080 } as const;
const loadBalancer = { from: 'outside', to: '1.2.3.4', port: 80 } as const;

const remove: ClusterChange = { type: 'delete', kind: 'Service', key };

test('16: ports come and go', () => {
  const ports = [
    { name: 'x', port: 80 },
    { name: 'y', port: 81 },
  ];
  const slices = slice(key, [endpoint(pod)], { ports: [tcp(80, 'x'), tcp(81, 'y')] });
  const bench = new Bench().set(service(key, { ports: ports.slice(0, 1) }), slices);
  const one = bench.text();
  bench.set(service(key, { ports }));
  expect(probe(bench, { ...clusterIp, port: 81 })).toMatchObject({ reaches: [`${pod}:81`] });
  bench.set(service(key, { ports: ports.slice(0, 1) }));
  expect(bench.text()).toEqual(one);
});

test('17: deleted and made again', () => {
  const bench = new Bench().set(service(key), slice(key, [endpoint(pod)]));
  const before = bench.text();
  bench.apply([remove]);
  expect(probe(bench, clusterIp)).toMatchObject({ reaches: ['172.30.0.41:80'] });
  expect(bench.set(service(key)).text()).toEqual(before);
  bench.apply([remove, { type: 'set', object: service(key) }]);
  expect(bench.touched).toEqual([]);
});

describe('53, 40: every change of type and port', () => {
  const shapes = {
    ClusterIP: {},
    NodePort: { type: 'NodePort' },
    LoadBalancer: { type: 'LoadBalancer', loadBalancerIps: ['1.2.3.4'] },
    'LoadBalancer without its address': { type: 'LoadBalancer' },
    'external IP': { externalIps: ['1.2.3.4'] },
    ExternalName: { type: 'ExternalName', clusterIps: [] },
    Headless: { headless: true, clusterIps: [] },
  } as const satisfies Readonly<Record<string, ServiceShape>>;
  type Shape = keyof typeof shapes;
  const names = Object.keys(shapes).filter((name): name is Shape => name in shapes);
  const rows = (['TCP', 'UDP'] as const).flatMap((protocol) =>
    names.flatMap((from) => names.filter((to) => to !== from).map((to) => [protocol, from, to] as const)),
  );

  test.each(rows)('%s: %s -> %s', (protocol, from, to) => {
    const made = (name: Shape, port: number): Service => {
      const shape: ServiceShape = shapes[name];
      const isNodePort = shape.type === 'NodePort' || shape.type === 'LoadBalancer';
      return service(key, { ...shape, ports: [{ protocol, port, nodePort: isNodePort ? 30_000 + port : 0 }] });
    };
    const backed = slice(key, [endpoint(pod)], { ports: [{ name: '', protocol, port: 80 }] });
    const bench = new Bench().set(made(from, 443), backed);
    bench.set(made(to, 80));
    const isServed = to !== 'ExternalName' && to !== 'Headless';
    const hasNodePort = to === 'NodePort' || to.startsWith('LoadBalancer');
    const hasOuter = to === 'LoadBalancer' || to === 'external IP';
    expect(probe(bench, { ...clusterIp, protocol })).toMatchObject(isServed ? served : { reaches: ['172.30.0.41:80'] });
    expect(probe(bench, { ...nodePort, protocol })).toMatchObject(
      hasNodePort ? served : { reaches: ['192.168.0.2:30080'] },
    );
    expect(probe(bench, { ...loadBalancer, protocol })).toMatchObject(hasOuter ? served : { reaches: ['1.2.3.4:80'] });
    expect(probe(bench, { ...clusterIp, port: 443, protocol })).toMatchObject({ reaches: ['172.30.0.41:443'] });
    expect(bench.text()).toEqual(new Bench().set(made(to, 80), backed).text());
  });
});

test('69: policy Local opens the health check port, Cluster closes it', () => {
  const shape = { type: 'LoadBalancer', healthCheckNodePort: 31_000, ports: [{ nodePort: 30_080 }] } as const;
  const bench = new Bench().set(slice(key, [endpoint(pod)]));
  const health = (externalTrafficPolicy: 'Cluster' | 'Local') =>
    bench.set(service(key, { ...shape, externalTrafficPolicy })).rules('filter', 'KUBE-NODEPORTS').length;
  const outcomes = (['Local', 'Cluster', 'Local'] as const).map((policy) => [health(policy), probe(bench, nodePort)]);
  const everywhere = { ...served, masquerade: true };
  expect(outcomes).toEqual([
    [1, 'drop'],
    [0, everywhere],
    [1, 'drop'],
  ]);
});

test('113, 125: one Service more writes none of the others’ chains', () => {
  const bench = new Bench({}, ['ipv4']).set(service(key), slice(key, [endpoint(pod)]));
  bench.set(service('ns/second', { clusterIps: ['172.30.0.42'] }), slice('ns/second', [endpoint(pod)]));
  expect(bench.touched.map((name) => name.replace(/-\w{16}$/, ''))).toEqual([
    'nat KUBE-SVC',
    'nat KUBE-SEP',
    'nat KUBE-SERVICES',
  ]);
  bench.apply([remove]);
  expect(probe(bench, { ...clusterIp, to: '172.30.0.42' })).toMatchObject(served);
});

test('above the limit rules about single endpoints lose their comments, of all Services; at it they have them', () => {
  const two = [endpoint('10.1.0.1'), endpoint('10.1.0.2')];
  const bench = new Bench({}, ['ipv4'], 2).set(service(key), slice(key, two));
  const before = bench.text();
  const [sep = ''] = bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SEP-'));
  expect(bench.rules('nat', sep).join()).toMatch(/ns\/web/);
  const other = service('ns/other', { clusterIps: ['172.30.0.42'] });
  bench.set(other, slice('ns/other', [endpoint('10.1.0.3')]));
  expect(bench.touched).toContain(`nat ${sep}`);
  expect(bench.rules('nat', sep)).toEqual([
    expect.stringMatching(/^-s 10\.1\.0\.[12] -j KUBE-MARK-MASQ$/),
    expect.stringMatching(/^-m tcp -p tcp -j DNAT --to-destination 10\.1\.0\.[12]:80$/),
  ]);
  const balancing = internalChain(bench.port(key));
  expect(bench.rules('nat', balancing).map((rule) => rule.includes('--comment'))).toEqual([true, false, false]);
  bench.apply([
    { type: 'delete', kind: 'Service', key: 'ns/other' },
    { type: 'delete', kind: 'EndpointSlice', key: keyOf(slice('ns/other', [])) },
  ]);
  expect(bench.text()).toEqual(before);
});

test('an endpoint’s condition that changes no list changes no chain', () => {
  const ready = endpoint('10.1.0.2', 'there', { ready: false, serving: true });
  const bench = new Bench().set(service(key), slice(key, [endpoint(pod), ready]));
  bench.set(slice(key, [endpoint(pod), { ...ready, serving: false }]));
  expect(bench.touched).toEqual([]);
  expect(bench.port(key).endpoints[1]?.serving).toBe(false);
});
