/** The tracer over the chains of policies that our reader has read agrees with NetworkPolicy taken straight from the API's words. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { NetworkPolicy, Node, Pod, Protocol } from '../../src/cluster/objects.ts';
import type { ClusterState } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { isAllowed } from '../../src/explain/investigate.ts';
import type { Connection, Origin } from '../../src/explain/journey.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import { policiesIn } from '../evaluator/api-policy.ts';
import { evaluate, type JudgedCluster } from '../evaluator/network-policy.ts';
import { cidr, ip, namespace, pod } from '../policy/objects.ts';

const options: CompileOptions = {
  nodeName: 'node-a',
  ipFamilies: ['ipv4', 'ipv6'],
  podStart: 'closed',
  established: 'cut',
  hostEgress: 'policed',
  hostEndpointAction: 'return',
  invalidDrop: true,
  interfacePrefixes: [],
};

const nodes: readonly Node[] = [
  {
    kind: 'Node',
    name: 'node-a',
    labels: {},
    addresses: [ip('172.31.255.11'), ip('fd00:172::11')],
    podCidrs: [cidr('10.0.0.0/24'), cidr('fd00:10::/64')],
  },
  {
    kind: 'Node',
    name: 'node-b',
    labels: {},
    addresses: [ip('172.31.255.12'), ip('fd00:172::12')],
    podCidrs: [cidr('10.0.1.0/24'), cidr('fd00:11::/64')],
  },
];

const label = fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2'), { noNullPrototype: true });
const requirement = fc.oneof(
  fc.record({
    key: fc.constantFrom('a', 'b'),
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.constantFrom(['1'], ['1', '2']),
  }),
  fc.record({ key: fc.constantFrom('a', 'b'), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);

/** A list as people leave it out: not there, null, or empty. */
const unwritten = fc.constantFrom(undefined, null, []);

/** Policies are made as they are written, so that what is left out is filled in by our reader and, by itself, by the evaluator. */
const selector = fc.record({
  matchLabels: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(undefined, {}) }, label),
  matchExpressions: fc.oneof(unwritten, fc.array(requirement, { maxLength: 1 })),
});
const port = fc.record({
  name: fc.constantFrom('http', 'dns'),
  port: fc.constantFrom(80, 8080),
  protocol: fc.constantFrom<Protocol>('TCP', 'UDP'),
});
const podShape = fc.record({
  space: fc.constantFrom('x', 'y'),
  labels: label,
  node: fc.constantFrom('node-a', 'node-b'),
  ports: fc.array(port, { maxLength: 2 }),
  phase: fc.constantFrom('Running' as const, 'Running' as const, 'Running' as const, 'Succeeded' as const),
});
const ipBlock = (cidrText: string, ...except: string[]) => ({ ipBlock: { cidr: cidrText, except } });
const peer = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ podSelector: selector, namespaceSelector: selector }, { requiredKeys: ['podSelector'] }),
  },
  { weight: 2, arbitrary: fc.record({ namespaceSelector: selector }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ipBlock('10.0.0.0/23', '10.0.1.0/24'),
      ipBlock('0.0.0.0/0', '10.0.0.2/31', '172.31.0.0/16'),
      ipBlock('10.0.1.4/30'),
      ipBlock('fd00:10::/64', 'fd00:10::2/127'),
      { ipBlock: { cidr: '::/0' } },
      ipBlock('172.31.255.12/32'),
    ),
  },
);
const ports = fc.constantFrom(
  { port: 80 },
  { protocol: 'UDP', port: 53, endPort: 80 },
  { port: 8000, endPort: 8080 },
  { port: 'http' },
  { protocol: 'UDP', port: 'dns' },
  { protocol: 'TCP' },
  { protocol: 'SCTP' },
  {},
);
const written = <T>(item: fc.Arbitrary<T>, maxLength: number) =>
  fc.oneof({ weight: 1, arbitrary: unwritten }, { weight: 2, arbitrary: fc.array(item, { minLength: 1, maxLength }) });
const rulesOf = (peers: 'from' | 'to') =>
  fc.tuple(written(peer, 2), written(ports, 3)).map(([own, some]) => ({ [peers]: own, ports: some }));
const somePolicy = fc.record({
  space: fc.constantFrom('x', 'y'),
  spec: fc.record({
    podSelector: selector,
    policyTypes: fc.oneof(unwritten, fc.subarray(['Ingress', 'Egress'], { minLength: 1 })),
    ingress: written(rulesOf('from'), 2),
    egress: written(rulesOf('to'), 2),
  }),
});

const cluster = fc.record({
  shapes: fc.array(podShape, { minLength: 3, maxLength: 5 }),
  policies: fc.array(somePolicy, { minLength: 1, maxLength: 4 }),
  spaceLabels: fc.tuple(label, label),
});

type ClusterShape = typeof cluster extends fc.Arbitrary<infer Shape> ? Shape : never;

/** What a file of these policies would hold. */
function textOf({ policies }: ClusterShape): string {
  const documents = policies.map(({ space, spec }, index) => {
    const metadata = { name: `policy-${index}`, namespace: space };
    return JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec });
  });
  return documents.join('\n---\n');
}

function readPolicies(text: string): readonly NetworkPolicy[] {
  const { objects, diagnostics } = parseManifest(text, 'policies.yaml');
  expect(diagnostics).toEqual([]);
  return objects.flatMap((object) => (object.kind === 'NetworkPolicy' ? [object] : []));
}

function storeOf({ shapes, spaceLabels }: ClusterShape, policies: readonly NetworkPolicy[]): ClusterStore {
  const store = new ClusterStore();
  const made: Pod[] = shapes.map(({ space, labels, node, ports: own, phase }, index) => {
    const subnet = node === 'node-a' ? 0 : 1;
    const ips = [`10.0.${subnet}.${index + 2}`, `fd00:1${subnet}::${index + 2}`];
    return pod(`${space}/pod-${index}`, { labels, ips, node, ports: own }, { phase });
  });
  const objects = [...nodes, namespace('x', spaceLabels[0]), namespace('y', spaceLabels[1]), ...made, ...policies];
  store.apply(objects.map((object) => ({ type: 'set', object })));
  return store;
}

/** Everybody who can send, to every pod's and node's address, on ports inside and outside the rules. */
function* connections(store: ClusterState): Generator<Connection> {
  const running = [...store.pods.values()].filter(({ phase }) => phase === 'Running');
  for (const place of [0, 1]) {
    const origins: Origin[] = running.flatMap((sender) => {
      const address = sender.ips[place];
      return address === undefined ? [] : [{ kind: 'pod', pod: sender, node: sender.nodeName ?? '', address }];
    });
    for (const { name, addresses } of nodes) {
      const address = addresses[place];
      if (address !== undefined) origins.push({ kind: 'node', node: name, address });
    }
    origins.push({ kind: 'outside', address: ip(place === 0 ? '172.31.254.2' : 'fd00:172:31:254::2') });
    const targets = running.flatMap((receiver) => receiver.ips[place] ?? []);
    for (const from of origins) for (const to of targets) yield* onPorts(from, to);
  }
}

function* onPorts(from: Origin, to: Connection['to']): Generator<Connection> {
  for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) {
    for (const number of [80, 8080]) yield { from, to, port: number, protocol };
  }
}

function judged(place: JudgedCluster, { from, to, port: number, protocol }: Connection): string {
  const destinationPod = [...place.state.pods.values()].find((own) => own.phase === 'Running' && own.ips.includes(to));
  return evaluate(place, {
    sourceIp: from.address,
    ...(from.kind === 'pod' ? { sourcePod: from.pod } : {}),
    ...(from.kind === 'node' ? { sourceNode: from.node } : {}),
    destinationIp: to,
    ...(destinationPod === undefined ? {} : { destinationPod }),
    protocol,
    port: number,
  }).verdict;
}

function disagreements(place: JudgedCluster, model: ClusterModel): readonly string[] {
  return [...connections(model.state)].flatMap((connection) => {
    const traced = isAllowed(model, connection) ? 'allowed' : 'denied';
    const expected = judged(place, connection);
    if (traced === expected) return [];
    const { from, to, port: number, protocol } = connection;
    return [`${from.address} -> ${to}:${number}/${protocol}: traced ${traced}, evaluated ${expected}`];
  });
}

test('tracer equals evaluator on random policies and packets', { timeout: 120_000 }, () => {
  let denied = 0;
  fc.assert(
    fc.property(cluster, (shape) => {
      const text = textOf(shape);
      const place = { state: storeOf(shape, []), policies: policiesIn(text) };
      const store = storeOf(shape, readPolicies(text));
      const model = modelOf({ state: store, optionsOf: (nodeName) => ({ ...options, nodeName }) });
      expect(disagreements(place, model)).toEqual([]);
      denied += [...connections(store)].filter((connection) => judged(place, connection) === 'denied').length;
    }),
    { numRuns: process.env.CI === undefined ? 300 : 1000 },
  );
  expect(denied).toBeGreaterThan(1000);
});
