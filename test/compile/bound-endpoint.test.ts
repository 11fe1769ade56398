import { expect, test } from 'vitest';
import type { Pod } from '../../src/cluster/objects.ts';
import { bindEndpoints, type BoundEndpoints } from '../../src/compile/bound-endpoint.ts';
import type { EndpointBinding } from '../../src/dataplane/endpoint-binding.ts';
import { vethName } from '../../src/dataplane/names.ts';
import { ip, pod } from '../policy/objects.ts';

const families = ['ipv4', 'ipv6'] as const;
const routed = (name: string): EndpointBinding => ({ kind: 'routed', interface: name });

function bind(pods: readonly Pod[], bindings: Readonly<Record<string, EndpointBinding>>): BoundEndpoints {
  const planned = new Map(
    pods.map((own) => {
      const key = `${own.namespace}/${own.name}`;
      return [key, { key, pod: own, ingress: [], egress: [], profiles: [] }];
    }),
  );
  const byAddress = new Map(Object.entries(bindings).map(([address, binding]) => [ip(address), binding]));
  return bindEndpoints(planned, { bindings: byAddress, nodeAddresses: [], conntrackLiberal: false }, families);
}

test('a routed pod is named after its interface and policed in both families', () => {
  const { endpoints } = bind([pod('a/p', { ips: ['10.0.0.1'] })], { '10.0.0.1': routed('veth1') });
  expect(endpoints.get('a/p')).toMatchObject({
    chainSuffix: 'veth1',
    interface: 'veth1',
    bindings: { ipv4: routed('veth1'), ipv6: routed('veth1') },
  });
});

test('a pod that the node has no way to is not programmed, and that is no mistake', () => {
  expect(bind([pod('a/p', { ips: ['10.0.0.1'] })], {})).toEqual({ endpoints: new Map(), diagnostics: [] });
});

test("a bridged pod is named after its port, or after Calico's name while that is unknown", () => {
  const { endpoints } = bind([pod('a/p', { ips: ['10.0.0.1'] }), pod('a/q', { ips: ['10.0.0.2'] })], {
    '10.0.0.1': { kind: 'bridged', bridge: 'cni0', port: 'veth1' },
    '10.0.0.2': { kind: 'bridged', bridge: 'cni0' },
  });
  expect(endpoints.get('a/p')?.chainSuffix).toBe('veth1');
  expect(endpoints.get('a/q')?.chainSuffix).toBe(vethName('a', 'q'));
  expect(endpoints.get('a/q')?.interface).toBeUndefined();
});

test('by its address alone a pod cannot be told in the family in which it has none', () => {
  const { endpoints } = bind([pod('a/p', { ips: ['10.0.0.1'] })], { '10.0.0.1': { kind: 'bridged', bridge: 'cni0' } });
  expect(Object.keys(endpoints.get('a/p')?.bindings ?? {})).toEqual(['ipv4']);
});

test('one address, two pods: the terminating one stays closed', () => {
  const { endpoints, diagnostics } = bind(
    [pod('a/new', { ips: ['10.0.0.1'] }), pod('a/first', { ips: ['10.0.0.1'] }, { terminating: true })],
    { '10.0.0.1': routed('veth1') },
  );
  expect([...endpoints.keys()]).toEqual(['a/new']);
  expect(diagnostics.map(({ severity, object, message }) => [severity, object, message])).toEqual([
    ['warning', 'Pod a/first', expect.stringContaining('address 10.0.0.1 is also that of Pod a/new')],
  ]);
});

test('one interface, two pods: the first by name is programmed, whatever the order', () => {
  const pods = [pod('a/q', { ips: ['10.0.0.2'] }), pod('a/p', { ips: ['10.0.0.1'] })];
  const bindings = { '10.0.0.1': routed('veth1'), '10.0.0.2': routed('veth1') };
  expect([...bind(pods, bindings).endpoints.keys()]).toEqual(['a/p']);
  expect(bind(pods.toReversed(), bindings)).toEqual(bind(pods, bindings));
});

test.each(['veth+', 'a"b', 'a b', '-x', 'waytoolongname16', ''])(
  'interface %j is refused, and the pod stays closed',
  (name) => {
    const { endpoints, diagnostics } = bind([pod('a/p', { ips: ['10.0.0.1'] })], { '10.0.0.1': routed(name) });
    expect(endpoints.size).toBe(0);
    expect(diagnostics[0]?.message).toContain(JSON.stringify(name));
  },
);
