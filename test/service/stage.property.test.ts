/** However the state came to be, the chains are those of a fresh start; and nothing is said to change that does not. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ClusterObject, Endpoint } from '../../src/cluster/objects.ts';
import { keyOf } from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import type { Chain } from '../../src/dataplane/rule.ts';
import { isSameChain } from '../../src/service/lazy-chain.ts';
import type { ServiceOptions } from '../../src/service/options.ts';
import {
  Bench,
  cidr,
  endpoint,
  goneTerminating,
  ip,
  node,
  notReady,
  service,
  servingTerminating,
  slice,
  tcp,
} from './fixtures.ts';

const policies = fc.constantFrom<'Cluster' | 'Local'>('Cluster', 'Local');

/** Enough of them to cross the limits where lists become trees. */
const someIndex = fc.integer({ min: 0, max: 44 });

const someService = fc
  .record({
    index: someIndex,
    type: fc.constantFrom<'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'>(
      'ClusterIP',
      'ClusterIP',
      'NodePort',
      'LoadBalancer',
      'ExternalName',
    ),
    isDual: fc.boolean(),
    externalTrafficPolicy: policies,
    internalTrafficPolicy: policies,
    hasExternalIp: fc.boolean(),
    hasRanges: fc.boolean(),
    hasAffinity: fc.boolean(),
    ports: fc.integer({ min: 1, max: 2 }),
    createdAtMs: fc.constantFrom(1000, 2000, 3000),
  })
  .map(({ index, type, isDual, hasExternalIp, hasRanges, hasAffinity, ports, ...policy }): ClusterObject => {
    const own = [`172.30.${index % 42}.1`, ...(isDual ? [`fd00:172::${index + 1}`] : [])];
    return service(`ns/svc-${index}`, {
      type,
      ...policy,
      clusterIps: type === 'ExternalName' ? [] : own,
      externalIps: hasExternalIp ? ['198.51.100.1'] : [],
      loadBalancerIps: [`203.0.113.${index}`],
      loadBalancerSourceRanges: hasRanges ? [cidr('192.168.0.0/16')] : [],
      // The last of them claim what the first have.
      healthCheckNodePort: 32_000 + (index % 38),
      ...(hasAffinity ? { sessionAffinitySeconds: 60 } : {}),
      ports: [
        { name: 'x', port: 80 + (index % 42), nodePort: 30_000 + (index % 40) },
        { name: 'y', port: 80 + (index % 42), protocol: 'UDP' as const, nodePort: 30_000 + (index % 40) },
      ].slice(0, ports),
    });
  });

const someEndpoint = fc.tuple(
  fc.integer({ min: 1, max: 30 }),
  fc.constantFrom('here', 'there'),
  fc.constantFrom<Partial<Endpoint>>({}, {}, notReady, servingTerminating, goneTerminating, { hintZones: ['zone-a'] }),
);

const someSlice = fc
  .record({
    index: someIndex,
    suffix: fc.constantFrom('a', 'b'),
    family: fc.constantFrom('10.1.0.', 'fd00:10::'),
    endpoints: fc.array(someEndpoint, { maxLength: 14 }),
  })
  .map(({ index, suffix, family, endpoints }): ClusterObject => {
    const made = endpoints.map(([number, nodeName, shape]) => endpoint(`${family}${number}`, nodeName, shape));
    const ports = [tcp(8080, 'x'), { name: 'y', protocol: 'UDP' as const, port: 53 }];
    return slice(`ns/svc-${index}`, made, { suffix: family.includes(':') ? `${suffix}6` : suffix, ports });
  });

const someNode = fc.constantFrom<ClusterObject>(node('zone-a'), node('zone-b'), node());

const someServiceCidr = fc
  .tuple(fc.constantFrom('a', 'b'), fc.subarray(['172.30.0.0/16', 'fd00:172::/112']))
  .map(([name, cidrs]): ClusterObject => ({ kind: 'ServiceCIDR', name, labels: {}, cidrs: cidrs.map(cidr) }));

const someOptions: fc.Arbitrary<Partial<ServiceOptions>> = fc.record({
  nodeAddresses: fc.subarray(['192.168.0.2', '10.0.0.7', 'fd00:192::2']).map((addresses) => addresses.map(ip)),
  // `primary` follows the Node: with its first IPv4 address localhost is chosen no more.
  nodePortAddresses: fc.constantFrom([cidr('192.168.0.0/24'), cidr('10.0.0.0/8')], [cidr('fd00:192::2/128')]),
  conntrackLiberal: fc.boolean(),
  detector: fc.constantFrom({ kind: 'none' }, { kind: 'bridge', name: 'cni0' }),
});

const someChange = fc.oneof(
  { weight: 4, arbitrary: someService.map((object): ClusterChange => ({ type: 'set', object })) },
  { weight: 4, arbitrary: someSlice.map((object): ClusterChange => ({ type: 'set', object })) },
  { weight: 1, arbitrary: someServiceCidr.map((object): ClusterChange => ({ type: 'set', object })) },
  { weight: 1, arbitrary: someNode.map((object): ClusterChange => ({ type: 'set', object })) },
  {
    weight: 3,
    arbitrary: fc
      .oneof(someService, someSlice, someServiceCidr)
      .map((object): ClusterChange => ({ type: 'delete', kind: object.kind, key: keyOf(object) })),
  },
);

const someHistory = fc.array(fc.array(someChange, { maxLength: 12 }), { minLength: 1, maxLength: 20 });

test('incremental equals from scratch: chains, plan, diagnostics', () => {
  fc.assert(
    fc.property(someHistory, fc.array(someOptions, { minLength: 1, maxLength: 20 }), (history, settings) => {
      const bench = new Bench(...few());
      for (const [index, batch] of history.entries()) bench.apply(batch, settings[index]);
      const last = settings[Math.min(history.length, settings.length) - 1];
      const fresh = new Bench(...few(last)).set(...objectsOf(bench));
      expect(bench.text()).toEqual(fresh.text());
      expect(new Map(bench.stage.plan.services)).toEqual(new Map(fresh.stage.plan.services));
      expect(sorted(bench)).toEqual(sorted(fresh));
    }),
    { numRuns: 150 },
  );
}, 120_000);

test('a stage over a state that is already full takes all of it at its first call', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const full = new Bench(...few());
      for (const batch of history) full.store.apply(batch);
      const fresh = new Bench(...few()).set(...objectsOf(full));
      expect(full.apply([]).text()).toEqual(fresh.text());
    }),
    { numRuns: 50 },
  );
}, 120_000);

test('only chains that differ are said to have changed, and none refers to one that is not there', () => {
  fc.assert(
    fc.property(someHistory, (history) => {
      const bench = new Bench(...few());
      for (const batch of history) {
        const before = snapshot(bench);
        bench.apply(batch);
        const after = snapshot(bench);
        for (const name of bench.touched) {
          const changed = [4, 6].some((family) => {
            const [one, other] = [before.get(`${family} ${name}`), after.get(`${family} ${name}`)];
            return one === undefined || other === undefined ? one !== other : !isSameChain(one, other);
          });
          expect([name, changed]).toEqual([name, true]);
        }
        expect(dangling(bench)).toEqual([]);
      }
    }),
    { numRuns: 60 },
  );
}, 120_000);

/** Comments end at so few endpoints that histories cross the limit. */
function few(overrides: Partial<ServiceOptions> = {}): ConstructorParameters<typeof Bench> {
  return [overrides, ['ipv4', 'ipv6'], 6];
}

function sorted(bench: Bench) {
  return bench.diagnostics.map((diagnostic) => JSON.stringify(diagnostic)).sort();
}

function snapshot(bench: Bench): Map<string, Chain> {
  const chains = new Map<string, Chain>();
  for (const [family, number] of [
    ['ipv4', 4],
    ['ipv6', 6],
  ] as const) {
    for (const table of ['nat', 'filter'] as const) {
      for (const [name, chain] of bench.dataplane.tables[family].chains[table])
        chains.set(`${number} ${table} ${name}`, chain);
    }
  }
  return chains;
}

function dangling(bench: Bench): readonly string[] {
  return (['ipv4', 'ipv6'] as const).flatMap((family) =>
    (['nat', 'filter'] as const).flatMap((table) => {
      const chains = bench.dataplane.tables[family].chains[table];
      return [...chains.values()].flatMap((chain) =>
        chain.rules.flatMap(({ action }) =>
          'chain' in action && !chains.has(action.chain) ? [`${chain.name} ${action.chain}`] : [],
        ),
      );
    }),
  );
}

function objectsOf({ store }: Bench): readonly ClusterObject[] {
  const { services, endpointSlices, nodes, serviceCidrs } = store;
  return [...nodes.values(), ...serviceCidrs.values(), ...endpointSlices.values(), ...services.values()];
}
