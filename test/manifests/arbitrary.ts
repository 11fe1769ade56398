/** Random manifests, as plain values for the YAML writer. */
import * as fc from 'fast-check';
import { stringify } from 'yaml';

const name = fc.constantFrom('a', 'b', 'web', 'db-0', 'x1', 'on', 'y', '1e3', '0x1f', '010', 'null', '1.5');
const namespace = fc.constantFrom('default', 'shop', 'kube-system');
const labels = fc.dictionary(
  fc.constantFrom('app', 'tier', 'example.com/x', 'constructor'),
  fc.constantFrom('a', 'b', 'yes', '1', 'true', '', '1e3', '0b1', 'null', '1_0'),
  { maxKeys: 3 },
);
const protocol = fc.constantFrom('TCP', 'UDP', 'SCTP');
const portName = fc.constantFrom('http', 'dns', 'y', 'x-1');
const port = fc.integer({ min: 1, max: 65_535 });
const ip = fc.integer({ min: 2, max: 250 }).map((last) => `10.88.1.${last}`);
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const expression = fc.oneof(
  fc.record({
    key: fc.constantFrom('app', 'tier'),
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.array(fc.constantFrom('a', 'b', 'on'), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key: fc.constantFrom('app', 'tier'), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);
const selector = fc.record(
  { matchLabels: labels, matchExpressions: fc.array(expression, { maxLength: 2 }) },
  { requiredKeys: [] },
);
const peer = fc.oneof(
  fc.record({ podSelector: selector }),
  fc.record({ namespaceSelector: selector }),
  fc.record({ podSelector: selector, namespaceSelector: selector }),
  fc.record({
    ipBlock: fc.record({ cidr: fc.constant('10.0.0.0/8'), except: fc.subarray(['10.1.0.0/16', '10.2.3.0/24']) }),
  }),
  fc.record({ ipBlock: fc.record({ cidr: fc.constant('fd00::/8') }) }),
);
const policyPort = fc.oneof(
  fc.record({ protocol: optional(protocol) }),
  fc.record({ protocol: optional(protocol), port: fc.oneof(port, portName) }),
  fc.tuple(port, port).map(([left, right]) => ({ port: Math.min(left, right), endPort: Math.max(left, right) })),
);
const rule = (peers: string) =>
  fc.record(
    { [peers]: fc.array(peer, { maxLength: 3 }), ports: fc.array(policyPort, { maxLength: 3 }) },
    { requiredKeys: [] },
  );

const containerPort = fc.record({ containerPort: port, protocol: optional(protocol) });
const namedPort = fc.tuple(containerPort, portName).map(([one, itsName]) => ({ ...one, name: itsName }));
const container = fc.record({
  name: fc.constant('main'),
  ports: fc
    .tuple(fc.array(containerPort, { maxLength: 2 }), fc.array(namedPort, { maxLength: 1 }))
    .map(([unnamed, named]) => [...unnamed, ...named]),
});
const podSpec = fc.record(
  {
    nodeName: fc.constantFrom('n1', 'n2'),
    serviceAccountName: fc.constantFrom('robot', 'on'),
    hostNetwork: fc.boolean(),
    containers: fc.array(container, { maxLength: 3 }),
  },
  { requiredKeys: [] },
);

const metadata = fc.record({ name, namespace, labels });
const pod = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Pod'),
  metadata: fc.record(
    {
      name,
      namespace,
      labels,
      uid: fc.constantFrom('1', 'u-2'),
      deletionTimestamp: fc.constant('2026-01-01T00:00:00Z'),
      annotations: fc.constant({ 'sluice.io/allowed-source-prefixes': '10.9.0.0/16,10.7.0.1' }),
    },
    { requiredKeys: ['name', 'namespace'] },
  ),
  spec: podSpec,
  status: fc.record(
    {
      phase: fc.constantFrom('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
      podIP: ip,
      conditions: fc.constantFrom('True', 'False').map((status) => [{ type: 'Ready', status }]),
    },
    { requiredKeys: [] },
  ),
});
const deployment = fc.tuple(metadata, podSpec, fc.integer({ min: 0, max: 3 })).map(([itsMetadata, spec, replicas]) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: itsMetadata,
  spec: { replicas, selector: {}, template: { metadata: { labels: itsMetadata.labels }, spec } },
}));
const servicePort = fc.record({
  protocol: optional(protocol),
  port,
  targetPort: optional(fc.oneof(port, portName)),
});
const service = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Service'),
  metadata: fc.record({ name: fc.constantFrom('a', 'b', 'web', 'on'), namespace, labels }),
  spec: fc
    .record({
      kind: fc.constantFrom('cluster', 'headless', 'node', 'balancer', 'external', 'no-ports'),
      selector: labels,
      ports: fc.uniqueArray(servicePort, { minLength: 1, maxLength: 3, selector: (one) => one.port }),
      ipFamilyPolicy: optional(fc.constantFrom('SingleStack', 'PreferDualStack', 'RequireDualStack')),
      sessionAffinity: optional(fc.constantFrom('None', 'ClientIP')),
      isLocal: fc.boolean(),
      publishNotReadyAddresses: optional(fc.boolean()),
    })
    .map(({ kind, isLocal, ports, ...rest }) => {
      const named = ports.map((one, index) => ({ ...one, name: `p${index}` }));
      const policy = isLocal ? 'Local' : 'Cluster';
      const common = { ...rest, ports: named };
      if (kind === 'headless') return { ...common, clusterIP: 'None' };
      if (kind === 'node') return { ...common, type: 'NodePort', externalTrafficPolicy: policy };
      if (kind === 'balancer') return { ...common, type: 'LoadBalancer', externalTrafficPolicy: policy };
      if (kind === 'no-ports') return { ...common, type: 'LoadBalancer', allocateLoadBalancerNodePorts: false };
      if (kind === 'external') return { ...rest, type: 'ExternalName', externalName: 'example.com' };
      return { ...common, externalIPs: ['192.0.2.7'], internalTrafficPolicy: policy };
    }),
});
const policy = fc.record({
  apiVersion: fc.constant('networking.k8s.io/v1'),
  kind: fc.constant('NetworkPolicy'),
  metadata,
  spec: fc.record(
    {
      podSelector: selector,
      policyTypes: fc.subarray(['Ingress', 'Egress']),
      ingress: fc.array(rule('from'), { maxLength: 2 }),
      egress: fc.array(rule('to'), { maxLength: 2 }),
    },
    { requiredKeys: ['podSelector'] },
  ),
});
const node = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Node'),
  metadata: fc.record({
    name: fc.constantFrom('n1', 'n3'),
    labels: fc.constantFrom({}, { 'topology.kubernetes.io/zone': 'on' }),
  }),
  spec: fc.constantFrom(
    {},
    { podCIDR: '10.88.1.0/24' },
    { podCIDRs: ['10.88.2.0/24'], taints: [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }] },
  ),
});
const namespaceObject = fc.record({
  apiVersion: fc.constant('v1'),
  kind: fc.constant('Namespace'),
  metadata: fc.record({ name: namespace, labels }),
});
const slice = fc.record({
  apiVersion: fc.constant('discovery.k8s.io/v1'),
  kind: fc.constant('EndpointSlice'),
  metadata: fc.record({
    name,
    namespace,
    labels: fc.constantFrom('a', 'other').map((one) => ({ 'kubernetes.io/service-name': one })),
  }),
  addressType: fc.constant('IPv4'),
  ports: fc.array(fc.record({ name: fc.constantFrom('', 'on'), port: optional(port), protocol: optional(protocol) }), {
    maxLength: 2,
  }),
  endpoints: fc.array(
    fc.record(
      {
        addresses: fc.array(ip, { minLength: 1, maxLength: 2 }),
        conditions: fc.record(
          { ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() },
          { requiredKeys: [] },
        ),
        nodeName: fc.constant('n1'),
        zone: fc.constant('y'),
        hints: fc.constant({ forZones: [{ name: 'no' }], forNodes: [{ name: 'n1' }] }),
        targetRef: fc.constant({ kind: 'Pod', name: 'a' }),
      },
      { requiredKeys: ['addresses'] },
    ),
    { maxLength: 2 },
  ),
});
const serviceCidr = fc.record({
  apiVersion: fc.constant('networking.k8s.io/v1'),
  kind: fc.constant('ServiceCIDR'),
  metadata: fc.record({ name, labels }),
  spec: fc.constantFrom({ cidrs: ['10.97.0.0/24'] }, { cidrs: ['10.98.0.0/29', 'fd00:98::/120'] }),
});

/** Texts of single objects; two of them may be the same object. */
export const manifestTexts: fc.Arbitrary<readonly string[]> = fc
  .array(fc.oneof(pod, pod, deployment, service, policy, node, namespaceObject, slice, serviceCidr), { maxLength: 12 })
  .map((objects) => objects.map((object) => stringify(object, { compat: 'yaml-1.1' })));
