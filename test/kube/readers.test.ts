import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterObject, ObjectKind } from '../../src/cluster/objects.ts';
import { ObjectReader } from '../../src/kube/object-reader.ts';
import { KubeApiError } from '../../src/kube/kube-api-error.ts';
import { allResources } from '../../src/kube/resources.ts';
import type { Diagnostic } from '../../src/lib/diagnostic.ts';

interface Read {
  readonly object: ClusterObject | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** As a watch delivers it. */
function read(
  kind: ObjectKind,
  fields: { readonly metadata: object; readonly [field: string]: unknown },
  nodeName?: string,
): Read {
  const resource = allResources.find((one) => one.kind === kind);
  if (resource === undefined) throw new Error(`${kind} is followed`);
  const reader = new ObjectReader(resource, nodeName);
  const object = { ...fields, metadata: { resourceVersion: '1', ...fields.metadata } };
  const event = reader.event(JSON.stringify({ type: 'ADDED', object }));
  return { object: event?.type === 'set' ? event.read.object : undefined, diagnostics: reader.diagnostics };
}

const metadata = { name: 'a', namespace: 'demo', uid: 'u1', resourceVersion: '7' };

describe('pods', () => {
  const pod = {
    metadata: {
      ...metadata,
      labels: { app: 'web', 'pod-template-hash': '5d4f' },
      ownerReferences: [{ kind: 'ReplicaSet', name: 'web-5d4f' }],
      managedFields: [{ manager: 'kubelet' }],
    },
    spec: {
      nodeName: 'n1',
      serviceAccountName: 'robot',
      containers: [{ ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }, { containerPort: 9090 }] }],
      initContainers: [
        { restartPolicy: 'Always', ports: [{ name: 'side', containerPort: 15_001, protocol: 'UDP' }] },
        { ports: [{ name: 'once', containerPort: 1 }] },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }, { ip: 'FD00::1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };

  test('of this node are read whole', () => {
    expect(read('Pod', pod, 'n1').object).toEqual({
      kind: 'Pod',
      name: 'a',
      namespace: 'demo',
      uid: 'u1',
      labels: { app: 'web', 'pod-template-hash': '5d4f' },
      serviceAccount: 'robot',
      nodeName: 'n1',
      hostNetwork: false,
      ips: ['10.0.0.1', 'fd00::1'],
      phase: 'Running',
      terminating: false,
      ready: true,
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { port: 9090, protocol: 'TCP' },
        { name: 'side', port: 15_001, protocol: 'UDP' },
      ],
      deployment: 'web',
      allowedSources: [],
    });
  });

  test('of other nodes keep only what policies can ask for', () => {
    expect(read('Pod', pod, 'n2').object).toMatchObject({
      ready: false,
      ports: [
        { name: 'http', port: 8080 },
        { name: 'side', port: 15_001 },
      ],
    });
  });

  test.each([
    ['no address yet', { status: { phase: 'Pending' } }, { ips: [], phase: 'Pending' }],
    ['podIP alone', { status: { phase: 'Running', podIP: '10.0.0.9' } }, { ips: ['10.0.0.9'] }],
    ['no status', { status: undefined }, { ips: [], phase: 'Pending' }],
    ['hostNetwork', { spec: { hostNetwork: true } }, { hostNetwork: true, serviceAccount: 'default' }],
    ['on its way out', { metadata: { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }, { terminating: true }],
    ['two of a family', { status: { podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] } }, { ips: ['10.0.0.1'] }],
  ])('%s', (_name, fields, expected) => {
    const { object, diagnostics } = read('Pod', { ...pod, ...fields }, 'n1');
    expect(object).toMatchObject(expected);
    expect(diagnostics).toEqual([]);
  });

  test('an exemption that cannot be read exempts nothing, and is told', () => {
    const annotations = { 'sluice.io/allowed-source-prefixes': '192.0.2.0/24, nonsense' };
    const { object, diagnostics } = read('Pod', { ...pod, metadata: { ...metadata, annotations } });
    expect(object).toMatchObject({ allowedSources: [{ address: '192.0.2.0', prefixLength: 24 }] });
    expect(diagnostics).toMatchObject([
      { object: 'Pod demo/a', path: 'metadata.annotations.sluice.io/allowed-source-prefixes' },
    ]);
  });

  test('a field that is not what the API says is told, and the rest is used', () => {
    const status = { phase: 'Dreaming', podIPs: [{ ip: '10.0.0.256' }, { ip: 'fd00::2' }] };
    const { object, diagnostics } = read('Pod', { ...pod, status });
    expect(object).toMatchObject({ ips: ['fd00::2'], phase: 'Pending' });
    expect(diagnostics.map(({ path }) => path)).toEqual(['status.podIPs[0].ip', 'status.phase']);
  });
});

describe('nodes and namespaces', () => {
  test('a Node: InternalIPs in order, pod CIDRs of both families', () => {
    const addresses = [
      { type: 'Hostname', address: 'n1' },
      { type: 'InternalIP', address: '192.0.2.1' },
      { type: 'ExternalIP', address: '198.51.100.1' },
      { type: 'InternalIP', address: 'fd00::1' },
    ];
    const spec = { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd01::/64'] };
    expect(read('Node', { metadata: { name: 'n1', uid: 'u' }, spec, status: { addresses } }).object).toMatchObject({
      addresses: ['192.0.2.1', 'fd00::1'],
      podCidrs: [
        { address: '10.244.1.0', prefixLength: 24 },
        { address: 'fd01::', prefixLength: 64 },
      ],
    });
  });

  test.each([
    [
      'tainted by the cluster autoscaler',
      {},
      { taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] },
      true,
    ],
    ['being deleted', { deletionTimestamp: '2026-01-01T00:00:00Z' }, {}, true],
    ['with another taint', {}, { taints: [{ key: 'node.kubernetes.io/unreachable' }] }, undefined],
  ])('122: a Node that is %s', (_, more, spec, leaving) => {
    const { object } = read('Node', { metadata: { name: 'n1', ...more }, spec, status: {} });
    expect(object).toHaveProperty('name', 'n1');
    expect(object !== undefined && 'leaving' in object ? object.leaving : undefined).toBe(leaving);
  });

  test('a Node before it has anything', () => {
    const { object, diagnostics } = read('Node', { metadata: { name: 'n1' }, spec: {}, status: {} });
    expect(object).toMatchObject({ addresses: [], podCidrs: [] });
    expect(diagnostics).toEqual([]);
  });

  test('a Namespace with its labels', () => {
    expect(read('Namespace', { metadata: { name: 'demo', uid: 'u', labels: { team: 'a' } } }).object).toEqual({
      kind: 'Namespace',
      name: 'demo',
      uid: 'u',
      labels: { team: 'a' },
    });
  });
});

describe('services', () => {
  test('as the API server fills it in', () => {
    const spec = {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'fd00::10'],
      externalIPs: ['192.0.2.7'],
      loadBalancerSourceRanges: [' 198.51.100.0/24'],
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Cluster',
      healthCheckNodePort: 31_000,
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      selector: { app: 'web' },
      ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'web', nodePort: 30_080 }],
    };
    const status = { loadBalancer: { ingress: [{ ip: '203.0.113.5', ipMode: 'Proxy' }, { hostname: 'lb.example' }] } };
    const created = { ...metadata, creationTimestamp: '2026-01-31T12:00:00Z' };
    expect(read('Service', { metadata: created, spec, status })).toMatchObject({
      diagnostics: [],
      object: {
        createdAtMs: Date.parse('2026-01-31T12:00:00Z'),
        clusterIps: ['10.96.0.10', 'fd00::10'],
        headless: false,
        externalIps: ['192.0.2.7'],
        loadBalancerIngress: [{ ip: '203.0.113.5', ipMode: 'Proxy' }],
        loadBalancerSourceRanges: [{ address: '198.51.100.0', prefixLength: 24 }],
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 31_000,
        sessionAffinitySeconds: 60,
        selector: { app: 'web' },
        ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 'web', nodePort: 30_080 }],
      },
    });
  });

  test.each([
    ['headless', { clusterIP: 'None', clusterIPs: ['None'] }, { headless: true, clusterIps: [] }],
    [
      'ExternalName',
      { type: 'ExternalName', externalName: 'x.example' },
      { clusterIps: [], externalName: 'x.example' },
    ],
    ['without a selector', { clusterIP: '10.96.0.1', selector: {} }, { clusterIps: ['10.96.0.1'] }],
  ])('%s', (_name, spec, expected) => {
    const { object, diagnostics } = read('Service', { metadata, spec });
    expect(object).toMatchObject(expected);
    expect(object).not.toHaveProperty('selector');
    expect(diagnostics).toEqual([]);
  });

  test('an EndpointSlice: conditions that are not stated, hints, the pod behind', () => {
    const endpoints = [
      { addresses: ['10.0.0.1'], conditions: {}, targetRef: { kind: 'Pod', name: 'p', namespace: 'demo' } },
      { addresses: ['10.0.0.2'], conditions: { ready: false, serving: true, terminating: true }, nodeName: 'n2' },
      { addresses: ['10.0.0.3'], hints: { forZones: [{ name: 'z1' }] }, zone: 'z1' },
    ];
    const labels = { 'kubernetes.io/service-name': 'web' };
    const ports = [{ name: '', port: 8080, protocol: 'TCP' }, { name: 'any' }];
    const slice = { metadata: { ...metadata, labels }, addressType: 'IPv4', endpoints, ports };
    expect(read('EndpointSlice', slice).object).toMatchObject({
      service: 'web',
      ports: [
        { name: '', port: 8080, protocol: 'TCP' },
        { name: 'any', protocol: 'TCP' },
      ],
      endpoints: [
        { ready: true, serving: true, terminating: false, pod: 'demo/p' },
        { ready: false, serving: true, terminating: true, nodeName: 'n2' },
        { hintZones: ['z1'], zone: 'z1' },
      ],
    });
  });

  test('a slice of unknown addresses is left out and told', () => {
    const { object, diagnostics } = read('EndpointSlice', { metadata, addressType: 'IPX', endpoints: [] });
    expect(object).toBeUndefined();
    expect(diagnostics).toMatchObject([{ path: 'addressType' }]);
  });
});

describe('policies', () => {
  test('defaulted by the API server', () => {
    const spec = {
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ protocol: 'TCP', port: 80 }] }],
      egress: [{}],
    };
    const { object, diagnostics } = read('NetworkPolicy', { metadata, spec });
    expect(diagnostics).toEqual([]);
    expect(object).toMatchObject({
      uid: 'u1',
      isolatesIngress: true,
      isolatesEgress: true,
      ingress: [{ path: 'spec.ingress[0]', ports: [{ kind: 'range', first: 80, last: 80 }] }],
      egress: [{ path: 'spec.egress[0]' }],
    });
    expect(object).not.toHaveProperty('location');
  });

  test.each([
    ['a field of later days in a peer', { ingress: [{ from: [{ serviceSelector: {} }] }] }, true, false],
    ['a field of later days in a port', { ingress: [{ ports: [{ port: 80, namedRange: 'x' }] }] }, true, false],
    ['a policyType of later days', { policyTypes: ['Ingress', 'Forward'] }, true, true],
    ['a CIDR that is none', { egress: [{ to: [{ ipBlock: { cidr: 'x' } }] }], policyTypes: ['Egress'] }, false, true],
  ])('%s: isolates and allows nothing', (_name, fields, isolatesIngress, isolatesEgress) => {
    const { object, diagnostics } = read('NetworkPolicy', { metadata, spec: { podSelector: {}, ...fields } });
    expect(object).toMatchObject({ isolatesIngress, isolatesEgress, ingress: [], egress: [] });
    expect(object).toMatchObject({ malformed: { path: expect.stringMatching(/^spec\./) } });
    expect(diagnostics.some(({ severity }) => severity === 'error')).toBe(true);
    expect(diagnostics.at(-1)?.message).toContain('allows nothing until its errors are mended');
  });
});

test.each([
  '[]',
  '{}',
  '{"type":"ADDED"}',
  '{"type":"ADDED","object":[]}',
  '{"type":"LATER","object":{"metadata":{"name":"a"}}}',
])('a line that says nothing is no event: %s', (line) => {
  const [resource] = allResources;
  expect(resource === undefined ? 'none' : new ObjectReader(resource).event(line)).toBeUndefined();
});

test('a line that is not JSON breaks the watch, and nothing else', () => {
  const [resource] = allResources;
  if (resource === undefined) throw new Error('something is followed');
  const reader = new ObjectReader(resource);
  expect(() => reader.event('<html>')).toThrow(KubeApiError);
  expect(reader.event('{"type":"BOOKMARK","object":{"metadata":{}}}')).toBeUndefined();
});

test.each(allResources.map((resource) => [resource.kind, resource] as const))(
  'any fields of a %s',
  (_kind, resource) => {
    const fields = ['spec', 'status', 'addressType', 'endpoints', 'ports'];
    const value = fc.anything({
      maxDepth: 4,
      key: fc.constantFrom('ports', 'podIPs', 'ip', 'from', 'cidr', 'containers', 'x'),
    });
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...fields), value), value, (content, annotations) => {
        const object = { ...content, metadata: { ...metadata, annotations, labels: annotations } };
        const reader = new ObjectReader(resource, 'n1');
        const event = reader.event(
          JSON.stringify({ type: 'MODIFIED', object }, (_key, one: unknown) => (typeof one === 'bigint' ? 1 : one)),
        );
        expect(event).toMatchObject({ type: 'set', resourceVersion: '7' });
      }),
      { numRuns: 300 },
    );
  },
);
