/** Random small clusters: few names, labels and addresses, so that everything meets everything. */
import * as fc from 'fast-check';
import type {
  LabelRequirement,
  LabelSelector,
  Labels,
  Namespace,
  NetworkPolicy,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { anyPort, block, named, namespace, pod, pods, policy, range, rule } from './objects.ts';

const key = fc.constantFrom('a', 'b', 'c');
const value = fc.constantFrom('1', '2');
const namespaceName = fc.constantFrom('x', 'y', 'z');
const objectName = fc.constantFrom('p', 'q', 'r');

export const someLabels: fc.Arbitrary<Labels> = fc.dictionary(key, value, { maxKeys: 3, noNullPrototype: true });

const requirement: fc.Arbitrary<LabelRequirement> = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.array(value, { maxLength: 2 }),
  }),
  fc.record({ key, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const), values: fc.constant([]) }),
);

export const someSelector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: fc.dictionary(key, value, { maxKeys: 2, noNullPrototype: true }),
  matchExpressions: fc.array(requirement, { maxLength: 2 }),
});

const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'fd00::1', 'fd00::2');

const somePod: fc.Arbitrary<Pod> = fc
  .record({
    namespace: namespaceName,
    name: objectName,
    labels: someLabels,
    // At most one of each family, as the API has it.
    ips: fc.uniqueArray(address, { maxLength: 2, selector: (ip) => ip.includes(':') }),
    node: fc.constantFrom('node-a', 'node-b'),
    hostNetwork: fc.constantFrom(false, false, false, true),
    phase: fc.constantFrom('Running' as const, 'Running' as const, 'Pending' as const, 'Succeeded' as const),
    serviceAccount: fc.constantFrom('default', 'robot'),
    ports: fc.array(
      fc.record({
        name: fc.constantFrom('http', 'dns'),
        port: fc.constantFrom(80, 8080),
        protocol: fc.constantFrom('TCP' as const, 'UDP' as const),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ namespace: inNamespace, name, labels, ips, node, ports, ...overrides }) =>
    pod(`${inNamespace}/${name}`, { labels, ips, node, ports }, overrides),
  );

const someNamespace: fc.Arbitrary<Namespace> = fc
  .record({ name: namespaceName, labels: someLabels })
  .map(({ name, labels }) => namespace(name, labels));

const optionalSelector = fc.option(someSelector, { nil: undefined });
const somePeer: fc.Arbitrary<PolicyPeer> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(optionalSelector, optionalSelector).map(([own, other]) => pods(own, other)) },
  { weight: 1, arbitrary: fc.constant(block('10.0.0.0/8', '10.1.0.0/16')) },
);
const somePort: fc.Arbitrary<PolicyPort> = fc.constantFrom(
  range(80),
  range(53, 60, 'UDP'),
  named('http'),
  named('dns', 'UDP'),
  anyPort('SCTP'),
);
const someRule: fc.Arbitrary<PolicyRule> = fc
  .tuple(
    fc.option(fc.array(somePeer, { minLength: 1, maxLength: 2 }), { nil: undefined }),
    fc.option(fc.array(somePort, { minLength: 1, maxLength: 3 }), { nil: undefined }),
  )
  .map(([peers, ports]) => rule(peers, ports));

const somePolicy: fc.Arbitrary<NetworkPolicy> = fc
  .record({
    namespace: namespaceName,
    name: objectName,
    podSelector: someSelector,
    isolatesIngress: fc.boolean(),
    isolatesEgress: fc.boolean(),
    ingress: fc.array(someRule, { maxLength: 2 }),
    egress: fc.array(someRule, { maxLength: 2 }),
  })
  .map(({ namespace: inNamespace, name, ...shape }) => policy(`${inNamespace}/${name}`, shape));

const someDeletion: fc.Arbitrary<ClusterChange> = fc
  .tuple(fc.constantFrom('Pod' as const, 'NetworkPolicy' as const, 'Namespace' as const), namespaceName, objectName)
  .map(([kind, inNamespace, name]) => ({
    type: 'delete',
    kind,
    key: kind === 'Namespace' ? inNamespace : `${inNamespace}/${name}`,
  }));

export const someChange: fc.Arbitrary<ClusterChange> = fc.oneof(
  { weight: 5, arbitrary: somePod.map((object) => ({ type: 'set' as const, object })) },
  { weight: 4, arbitrary: somePolicy.map((object) => ({ type: 'set' as const, object })) },
  { weight: 2, arbitrary: someNamespace.map((object) => ({ type: 'set' as const, object })) },
  { weight: 3, arbitrary: someDeletion },
);

/** So many pods that indexes are worth their while: labels and addresses in every combination, some ports. */
export const crowd: readonly ClusterChange[] = Array.from({ length: 240 }, (_, index) => {
  const digits = (index % 27).toString(3).padStart(3, '0');
  const own = ['a', 'b', 'c']
    .map((label, place) => [label, digits.charAt(place)] as const)
    .filter(([, text]) => text !== '0');
  const ports = [{ name: 'http', port: index % 2 === 0 ? 80 : 8080, protocol: 'TCP' as const }];
  const name = `${['x', 'y', 'x', 'z', 'x', 'w'][index % 6]}/crowd-${index}`;
  const shape = { labels: Object.fromEntries(own), ips: [`10.0.1.${index % 90}`], node: 'node-b', ports };
  return { type: 'set', object: pod(name, shape) };
});

/** Batches of changes, one after the other. */
export const someHistory: fc.Arbitrary<readonly (readonly ClusterChange[])[]> = fc.array(
  fc.array(someChange, { minLength: 1, maxLength: 6 }),
  { minLength: 1, maxLength: 12 },
);
