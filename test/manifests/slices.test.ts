import { expect, test } from 'vitest';
import type { EndpointSlice } from '../../src/cluster/objects.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { fill, messages, withoutLocation } from './read.ts';

const dualStack = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });

function slices(text: string, defaults = clusterDefaults()): readonly Omit<EndpointSlice, 'location'>[] {
  const objects = [...fill(text, defaults).values()].filter((object) => object.kind === 'EndpointSlice');
  return objects.map(withoutLocation);
}

function pod(name: string, last: number, rest: { status?: string; port?: number; metadata?: string } = {}): string {
  const { status = '', port = 8080, metadata = '' } = rest;
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: web}, ${metadata}}
spec: {nodeName: n1, containers: [{ports: [{name: http, containerPort: ${port}}]}]}
status: {podIPs: [{ip: 10.0.0.${last}}, {ip: "fd00::${last}"}], ${status}}
---
`;
}

const service = (spec: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: web, labels: {team: a}}\nspec: {selector: {app: web}, ${spec}}\n---\n`;
const zoned = `apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: z1}}\n---\n`;

test('an endpoint for every pod that the selector matches', () => {
  const other = `apiVersion: v1\nkind: Pod\nmetadata: {name: other, labels: {app: other}}\n---\n`;
  const foreign = `apiVersion: v1\nkind: Pod\nmetadata: {name: foreign, namespace: shop, labels: {app: web}}\n---\n`;
  expect(slices(zoned + service('ports: [{port: 80, targetPort: http}]') + pod('a', 1) + other + foreign)).toEqual([
    {
      kind: 'EndpointSlice',
      namespace: 'default',
      name: 'web-ipv4-8080',
      labels: {
        team: 'a',
        'kubernetes.io/service-name': 'web',
        'endpointslice.kubernetes.io/managed-by': 'sluice',
      },
      service: 'web',
      addressType: 'IPv4',
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          ready: true,
          serving: true,
          terminating: false,
          nodeName: 'n1',
          zone: 'z1',
          hintZones: [],
          hintNodes: [],
          pod: 'default/a',
        },
      ],
    },
  ]);
});

test.each([
  ['running', {}, [true, true, false]],
  ['not ready', { status: 'conditions: [{type: Ready, status: "False"}]' }, [false, false, false]],
  ['terminating', { metadata: 'deletionTimestamp: x' }, [false, true, true]],
  ['finished', { status: 'phase: Failed' }, undefined],
])('conditions of the endpoint of a pod that is %s', (_what, rest, expected) => {
  const [slice] = slices(service('ports: [{port: 80}]') + pod('a', 1, rest));
  const [endpoint] = slice?.endpoints ?? [];
  const found = endpoint === undefined ? undefined : [endpoint.ready, endpoint.serving, endpoint.terminating];
  expect(found).toEqual(expected);
});

test('publishNotReadyAddresses makes every endpoint ready', () => {
  const [slice] = slices(
    service('publishNotReadyAddresses: true, ports: [{port: 80}]') +
      pod('a', 1, { status: 'conditions: [{type: Ready, status: "False"}]' }),
  );
  expect(slice?.endpoints[0]).toMatchObject({ ready: true, serving: false });
});

test.each<[string, readonly string[], readonly string[]]>([
  ['', [], []],
  ['trafficDistribution: PreferClose, ', ['z1'], []],
  ['trafficDistribution: PreferSameZone, ', ['z1'], []],
  ['trafficDistribution: PreferSameNode, ', ['z1'], ['n1']],
])('hints as the cluster’s controller gives them: "%s"', (distribution, hintZones, hintNodes) => {
  const unready = pod('b', 2, { status: 'conditions: [{type: Ready, status: "False"}]' });
  const text = service(`${distribution}ports: [{port: 80}]`) + pod('a', 1) + unready;
  expect(slices(zoned + text)[0]?.endpoints).toMatchObject([
    { hintZones, hintNodes },
    { hintZones: [], hintNodes: [] },
  ]);
  // A node without a zone gives no hint of one.
  expect(slices(text)[0]?.endpoints[0]).toMatchObject({ hintZones: [], hintNodes });
});

test('a trafficDistribution that the API does not know is a mistake', () => {
  expect(messages(service('trafficDistribution: PreferFar, ports: [{port: 80}]'))).toEqual([
    expect.stringMatching(/^a\.yaml:4: spec\.trafficDistribution: "PreferFar"/),
  ]);
});

test('one slice a family', () => {
  const found = slices(service('ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]') + pod('a', 1), dualStack);
  expect(found.map(({ name, addressType, endpoints }) => [name, addressType, endpoints[0]?.addresses])).toEqual([
    ['web-ipv4', 'IPv4', ['10.0.0.1']],
    ['web-ipv6', 'IPv6', ['fd00::1']],
  ]);
});

test('one slice for each meaning of a port name; a pod without the name has no endpoint', () => {
  const nameless = `apiVersion: v1\nkind: Pod\nmetadata: {name: d, labels: {app: web}}\n---\n`;
  const found = slices(
    service('ports: [{port: 80, targetPort: http}]') +
      pod('a', 1) +
      pod('b', 2, { port: 9090 }) +
      pod('c', 3) +
      nameless,
  );
  expect(found.map(({ name, ports, endpoints }) => [name, ports[0]?.port, endpoints.map((one) => one.pod)])).toEqual([
    ['web-ipv4-8080', 8080, ['default/a', 'default/c']],
    ['web-ipv4-9090', 9090, ['default/b']],
  ]);
});

test('a headless Service without ports still names its pods', () => {
  const [slice] = slices(service('clusterIP: None') + pod('a', 1));
  expect(slice?.labels['service.kubernetes.io/headless']).toBe('');
  expect(slice).toMatchObject({ ports: [], endpoints: [{ pod: 'default/a' }] });
});

test('a Service of which the files state a slice has that alone', () => {
  const stated = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: mine, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 7}]
endpoints: [{addresses: [10.9.9.9]}]
---
`;
  expect(slices(service('ports: [{port: 80}]') + pod('a', 1) + stated).map(({ name }) => name)).toEqual(['mine']);
});

test('no selector, no slice', () => {
  expect(slices(service('ports: [{port: 80}]').replace('selector: {app: web}, ', '') + pod('a', 1))).toEqual([]);
  expect(slices(service('ports: [{port: 80}]').replace('{app: web}', '{}') + pod('a', 1))).toEqual([]);
});
