/** The tracer over the rendered chains agrees with NetworkPolicy read straight from the API's words. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LabelSelector, NetworkPolicy, Node, Pod, Protocol } from '../../src/cluster/objects.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { isAllowed } from '../../src/explain/investigate.ts';
import type { Connection, Origin } from '../../src/explain/journey.ts';
import { evaluate } from '../evaluator/network-policy.ts';
import { anyPort, block, cidr, ip, named, namespace, pod, pods, policy, range, rule } from '../policy/objects.ts';

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
const requirement = fc.record({
  key: fc.constantFrom('a', 'b'),
  operator: fc.constantFrom('In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
  values: fc.constantFrom<string[]>(['1'], ['1', '2']),
});
const selector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, label),
  matchExpressions: fc.array(requirement, { maxLength: 1 }),
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
const optional = fc.option(selector, { nil: undefined });
const peer = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(optional, optional).map(([own, other]) => pods(own, other)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      block('10.0.0.0/23', '10.0.1.0/24'),
      block('0.0.0.0/0', '10.0.0.2/31', '172.31.0.0/16'),
      block('10.0.1.4/30'),
      block('fd00:10::/64', 'fd00:10::2/127'),
      block('::/0'),
      block('172.31.255.12/32'),
    ),
  },
);
const ports = fc.constantFrom(
  range(80),
  range(53, 80, 'UDP'),
  range(8000, 8080),
  named('http'),
  named('dns', 'UDP'),
  anyPort('TCP'),
  anyPort('SCTP'),
);
const someRule = fc
  .tuple(
    fc.option(fc.array(peer, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    fc.option(fc.array(ports, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  )
  .map(([peers, own]) => rule(peers, own));
const somePolicy: fc.Arbitrary<Partial<NetworkPolicy> & { space: string }> = fc.record({
  space: fc.constantFrom('x', 'y'),
  podSelector: selector,
  isolatesIngress: fc.boolean(),
  isolatesEgress: fc.boolean(),
  ingress: fc.array(someRule, { maxLength: 2 }),
  egress: fc.array(someRule, { maxLength: 2 }),
});

const cluster = fc.record({
  shapes: fc.array(podShape, { minLength: 3, maxLength: 5 }),
  policies: fc.array(somePolicy, { minLength: 1, maxLength: 4 }),
  spaceLabels: fc.tuple(label, label),
});

type ClusterShape = typeof cluster extends fc.Arbitrary<infer Shape> ? Shape : never;

function storeOf({ shapes, policies, spaceLabels }: ClusterShape): ClusterStore {
  const store = new ClusterStore();
  const made: Pod[] = shapes.map(({ space, labels, node, ports: own, phase }, index) => {
    const subnet = node === 'node-a' ? 0 : 1;
    const ips = [`10.0.${subnet}.${index + 2}`, `fd00:1${subnet}::${index + 2}`];
    return pod(`${space}/pod-${index}`, { labels, ips, node, ports: own }, { phase });
  });
  const objects = [
    ...nodes,
    namespace('x', spaceLabels[0]),
    namespace('y', spaceLabels[1]),
    ...made,
    ...policies.map(({ space, ...shape }, index) => policy(`${space}/policy-${index}`, shape)),
  ];
  store.apply(objects.map((object) => ({ type: 'set', object })));
  return store;
}

/** Everybody who can send, to every pod's and node's address, on ports inside and outside the rules. */
function* connections(store: ClusterStore): Generator<Connection> {
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

function judged(store: ClusterStore, { from, to, port: number, protocol }: Connection): string {
  const destinationPod = [...store.pods.values()].find((own) => own.phase === 'Running' && own.ips.includes(to));
  return evaluate(store, {
    sourceIp: from.address,
    ...(from.kind === 'pod' ? { sourcePod: from.pod } : {}),
    ...(from.kind === 'node' ? { sourceNode: from.node } : {}),
    destinationIp: to,
    ...(destinationPod === undefined ? {} : { destinationPod }),
    protocol,
    port: number,
  }).verdict;
}

function disagreements(store: ClusterStore, model: ClusterModel): readonly string[] {
  return [...connections(store)].flatMap((connection) => {
    const traced = isAllowed(model, connection) ? 'allowed' : 'denied';
    const expected = judged(store, connection);
    if (traced === expected) return [];
    const { from, to, port: number, protocol } = connection;
    return [`${from.address} -> ${to}:${number}/${protocol}: traced ${traced}, evaluated ${expected}`];
  });
}

test('tracer equals evaluator on random policies and packets', { timeout: 120_000 }, () => {
  let denied = 0;
  fc.assert(
    fc.property(cluster, (shape) => {
      const store = storeOf(shape);
      const model = modelOf({ state: store, optionsOf: (nodeName) => ({ ...options, nodeName }) });
      expect(disagreements(store, model)).toEqual([]);
      denied += [...connections(store)].filter((connection) => judged(store, connection) === 'denied').length;
    }),
    { numRuns: process.env.CI === undefined ? 300 : 1000 },
  );
  expect(denied).toBeGreaterThan(1000);
});
