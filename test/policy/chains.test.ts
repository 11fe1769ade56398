import { describe, expect, test } from 'vitest';
import { policyId, selectorSetName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { renderPolicyChains } from '../../src/policy/chains.ts';
import type { PlannedPorts, PlannedRule } from '../../src/policy/plan.ts';
import { felixVectors, type VectorChain } from '../vectors/felix.ts';
import { activePolicy, allow, cidr } from './chains-plans.ts';

const selector =
  '(projectcalico.org/namespace == "default" && (projectcalico.org/orchestrator == "k8s" && networking/allow-db-access == "true"))';
const sets = { ipv4: selectorSetName(selector, 'ipv4'), ipv6: selectorSetName(selector, 'ipv6') };

/** The rules of a chain without what every line has: chain name and hash. */
function bodies(rule: PlannedRule, family: IpFamily = 'ipv4'): readonly string[] {
  const chains = renderPolicyChains(activePolicy('a/knp.default.b', { ingress: [rule] }), family);
  return chains.flatMap(renderChain).map((line) => line.replace(/^-A \S+ -m comment --comment "cali:\S{16}" /, ''));
}

const returns = '-m mark --mark 0x10000/0x10000 --jump RETURN';
const accepts = '--jump MARK --set-mark 0x10000/0x10000';

test("the seed's policy has the seed's name, set and hashes", () => {
  const policy = activePolicy(policyId('default', 'allow-db-access'), {
    ingress: [allow({ peer: { kind: 'set', sets } })],
  });
  expect(renderPolicyChains(policy, 'ipv4').flatMap(renderChain)).toEqual([
    '-A cali-pi-_tTE-E7yY40ogArNVgKt -m comment --comment "cali:M4Und37HGrw6jUk8" -m set --match-set cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge src --jump MARK --set-mark 0x10000/0x10000',
    '-A cali-pi-_tTE-E7yY40ogArNVgKt -m comment --comment "cali:sEnlfZagUFRSPRoe" -m mark --mark 0x10000/0x10000 --jump RETURN',
  ]);
});

test.each<[string, Partial<PlannedRule>, readonly string[]]>([
  ['everything', {}, [accepts]],
  ['a protocol', { protocol: 'udp' }, [`-p udp ${accepts}`]],
  [
    'a set of peers and ports, merged ranges',
    {
      protocol: 'tcp',
      peer: { kind: 'set', sets },
      ports: {
        kind: 'ranges',
        ranges: [
          { first: 80, last: 82 },
          { first: 443, last: 443 },
        ],
      },
    },
    [`-p tcp -m set --match-set ${sets.ipv4} src -m multiport --destination-ports 80:82,443 ${accepts}`],
  ],
  [
    'a named port of the destination beside a peer',
    { protocol: 'sctp', peer: { kind: 'set', sets }, ports: { kind: 'named', sets } },
    [`-p sctp -m set --match-set ${sets.ipv4} src -m set --match-set ${sets.ipv4} dst,dst ${accepts}`],
  ],
  ['everywhere', { peer: { kind: 'block', cidr: cidr('0.0.0.0/0'), except: [] } }, [`--source 0.0.0.0/0 ${accepts}`]],
])('allows %s', (_what, rule, expected) => {
  expect(bodies(allow(rule))).toEqual([...expected, returns]);
});

test('an egress rule asks for the destination', () => {
  const block = allow({ peer: { kind: 'block', cidr: cidr('10.0.0.0/8'), except: [] } });
  const [chain] = renderPolicyChains(activePolicy('a/knp.default.b', { egress: [block] }), 'ipv4');
  expect(chain?.name).toMatch(/^cali-po-/);
  expect(chain?.rules[0]?.matches).toEqual([{ kind: 'address', side: 'destination', cidr: cidr('10.0.0.0/8') }]);
});

test('a direction that the policy does not isolate has no chain, one without rules an empty one', () => {
  const chains = renderPolicyChains(activePolicy('a/knp.default.b', { egress: [] }), 'ipv4');
  expect(chains.map(({ name, rules }) => [name, rules.length])).toEqual([[expect.stringMatching(/^cali-po-/), 0]]);
});

describe('addresses of the other family', () => {
  const mixed = allow({
    peer: { kind: 'block', cidr: cidr('10.0.0.0/8'), except: [cidr('fd00::/8')] },
  });

  test('a block allows nothing in the other family', () => {
    expect(bodies(mixed, 'ipv6')).toEqual([]);
  });

  test('an except of the other family excepts nothing', () => {
    expect(bodies(mixed, 'ipv4')).toEqual([`--source 10.0.0.0/8 ${accepts}`, returns]);
  });

  test('the set is that of the family', () => {
    expect(bodies(allow({ peer: { kind: 'set', sets } }), 'ipv6')[0]).toContain(sets.ipv6);
  });
});

describe('fifteen ports a rule', () => {
  const single = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ first: 1001 + 2 * index, last: 1001 + 2 * index }));
  const ranges = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ first: 2000 + 10 * index, last: 2005 + 10 * index }));
  const portsOf = (ports: PlannedPorts) =>
    bodies(allow({ protocol: 'tcp', ports })).map(
      (body) => /--destination-ports (\S+)/.exec(body)?.[1]?.split(',').length,
    );

  test.each([
    ['15 ports', single(15), [15]],
    ['16 ports', single(16), [15, 1]],
    ['7 ranges and a port', [...ranges(7), { first: 9000, last: 9000 }], [8]],
    ['8 ranges', ranges(8), [7, 1]],
    ['7 ranges, a port, a range', [...ranges(7), { first: 9000, last: 9000 }, { first: 9002, last: 9004 }], [8, 1]],
    ['31 ports', single(31), [15, 15, 1]],
  ])('%s', (_what, list, expected) => {
    expect(portsOf({ kind: 'ranges', ranges: list })).toEqual([...expected, undefined]);
  });
});

/** Felix's text without comments, and without the RETURNs that its generations keep or strip. */
function felixBodies(name: string): readonly string[] {
  const { cases } = felixVectors<{ cases: readonly { name: string; policyChains: readonly VectorChain[] }[] }>(
    'policies-v3.28.5.json',
  );
  const found = cases.find((vector) => vector.name === name);
  return (found?.policyChains ?? [])
    .flatMap(({ rules }) => rules)
    .map((line) => line.replace(/^-A \S+ /, '').replaceAll(/-m comment --comment "[^"]*" ?/g, ''))
    .filter((body) => body !== '' && body !== returns);
}

const dbClients = {
  ipv4: selectorSetName(
    '(projectcalico.org/namespace == "default" && (projectcalico.org/orchestrator == "k8s" && app == "client"))',
    'ipv4',
  ),
  ipv6: sets.ipv6,
};

test.each<[string, 'ingress' | 'egress', PlannedRule]>([
  ['ipblock', 'ingress', allow({ peer: { kind: 'block', cidr: cidr('172.17.0.0/16'), except: [] } })],
  [
    'ipblock-except',
    'ingress',
    allow({ peer: { kind: 'block', cidr: cidr('172.17.0.0/16'), except: [cidr('172.17.1.0/24')] } }),
  ],
  [
    'ipblock-two-excepts-and-ports',
    'egress',
    allow({
      protocol: 'tcp',
      peer: { kind: 'block', cidr: cidr('0.0.0.0/0'), except: [cidr('10.0.0.0/8'), cidr('169.254.169.254/32')] },
      ports: {
        kind: 'ranges',
        ranges: [
          { first: 80, last: 80 },
          { first: 443, last: 443 },
        ],
      },
    }),
  ],
  [
    'end-port',
    'ingress',
    allow({ protocol: 'tcp', ports: { kind: 'ranges', ranges: [{ first: 32000, last: 32768 }] } }),
  ],
  ['protocol-without-port', 'ingress', allow({ protocol: 'udp' })],
  [
    'pod-selector-with-port',
    'ingress',
    allow({
      protocol: 'tcp',
      peer: { kind: 'set', sets: dbClients },
      ports: { kind: 'ranges', ranges: [{ first: 5432, last: 5432 }] },
    }),
  ],
])("Felix's matches for %s", (name, direction, rule) => {
  const ours = renderPolicyChains(activePolicy('a/knp.default.b', { [direction]: [rule] }), 'ipv4')
    .flatMap(renderChain)
    .map((line) => line.replace(/^-A \S+ -m comment --comment "cali:\S{16}" /, ''))
    .filter((body) => body !== returns);
  expect(felixBodies(name)).not.toEqual([]);
  expect(ours).toEqual(felixBodies(name));
});

test('every rule says in a sentence what it is for', () => {
  const block = { kind: 'block', cidr: cidr('10.0.0.0/8'), except: [cidr('10.1.0.0/16')] } as const;
  const origin = { object: 'NetworkPolicy a/b', path: 'spec.ingress[0].from[0]' };
  const chains = renderPolicyChains(
    activePolicy('a/knp.default.b', { ingress: [allow({ peer: block, origin })] }),
    'ipv4',
  );
  const origins = chains.flatMap(({ rules }) => rules.map((rule) => rule.origin));
  expect(origins).toHaveLength(4);
  expect(
    origins.every(({ object, path, note }) => object !== undefined && path !== undefined && note !== undefined),
  ).toBe(true);
});
