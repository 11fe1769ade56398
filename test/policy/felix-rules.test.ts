/**
 * The 47 rules that Felix's renderer was given, one by one. Of those that a NetworkPolicy can ask for, our rules are Felix's
 * to the byte or, where ours are fewer or others (felix.md 2.5), accept the very same packets.
 */
import { describe, expect, test } from 'vitest';
import type { IpSetName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { PortRange, TransportProtocol } from '../../src/dataplane/rule.ts';
import type { Cidr, IpAddress, IpFamily } from '../../src/lib/ip.ts';
import { bitsOf, ipFromInteger, ipToInteger, knownIp } from '../../src/lib/ip.ts';
import { renderPolicyChains } from '../../src/policy/chains.ts';
import type { PlannedPeer, PlannedPorts, PlannedRule } from '../../src/policy/plan.ts';
import { cidr } from '../addresses.ts';
import { felixVectors } from '../vectors/felix.ts';
import { activePolicy, allow } from './chains-plans.ts';
import type { LinePacket } from './rule-lines.ts';
import { accepts } from './rule-lines.ts';

interface FelixRule {
  readonly action?: string;
  readonly protocol?: { readonly name?: string };
  readonly dst_ports?: readonly PortRange[];
  readonly src_ip_set_ids?: readonly string[];
  readonly dst_ip_set_ids?: readonly string[];
  readonly dst_named_port_ip_set_ids?: readonly string[];
  readonly src_net?: readonly string[];
  readonly not_src_net?: readonly string[];
}

interface RuleCase {
  readonly name: string;
  readonly flowLogs: boolean;
  readonly rule: FelixRule;
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

const { cases } = felixVectors<{ readonly cases: readonly RuleCase[] }>('rule-rendering.json');

/** What Calico's own policies have and Kubernetes' have not; the last is refused where it is read, as the API server refuses it. */
const notOurs: Readonly<Record<string, string>> = {
  deny: 'NetworkPolicies allow only',
  pass: 'there are no tiers',
  'next-tier': 'there are no tiers',
  log: 'NetworkPolicies allow only',
  'protocol by number': 'TCP, UDP and SCTP alone',
  'src ports and dst ports overflow': 'no source ports',
  'two src sets are and-ed': 'one selector is one set',
  'two dst nets + two src nets': 'one side alone',
  'two not dst nets only': 'no exceptions without a block',
  'everything: nets+excepts+16 ports': 'several blocks are several peers, each with its own exceptions',
  'two src nets + except': 'several blocks are several peers, each with its own exceptions',
  'not protocol': 'nothing is negated',
  'not dst ports 16 (two negated multiports and-ed)': 'nothing is negated',
  'icmp type/code': 'TCP, UDP and SCTP alone',
  'ip version 6 rule in v4': 'no rule is of one family alone',
  'service ip,port set': 'no peers that are Services',
  'annotations become comments': 'rules have no annotations',
  'except is v6 only, v4 render: rule vanishes': 'an exception is inside of its block',
};

/** With the same hashes: the very rules. The others are of the same meaning; exceptions are other scratch marks than v3.34's. */
const toTheByte: readonly string[] = [
  'allow everything',
  'empty action means allow',
  'protocol by name',
  'sctp port',
  'one dst port',
  'one dst port range',
  'ports and ranges',
  '15 single ports',
  '7 ranges (14 slots)',
  'src set',
  'one named port',
  'one src net',
  'v6 net in v4 render: rule vanishes',
  'mixed v4 and v6 nets, v4 render',
];

const ours = cases.filter(({ name, flowLogs }) => !flowLogs && notOurs[name] === undefined);

test('each of the 47 is compared, or is none that a NetworkPolicy could ask for', () => {
  expect(cases).toHaveLength(47);
  const others = cases.filter((one) => !ours.includes(one));
  // Flow logs put a rule of their own between.
  expect(others.filter(({ flowLogs }) => !flowLogs).map(({ name }) => name)).toEqual(
    expect.arrayContaining(Object.keys(notOurs)),
  );
  expect(others.filter(({ flowLogs }) => flowLogs)).toHaveLength(3);
  expect(ours).toHaveLength(47 - 3 - Object.keys(notOurs).length);
});

describe.each(ours)('$name', (felix) => {
  test.each<[IpFamily, readonly string[]]>([
    ['ipv4', felix.v4],
    ['ipv6', felix.v6],
  ])('%s', (family, theirs) => {
    const lines = rendered(felix.rule, family);
    if (toTheByte.includes(felix.name)) expect(lines).toEqual(theirs);
    const answers = packetsFor(felix.rule, [...theirs, ...lines], family).map((packet) => {
      const [left, right] = [accepts(theirs, packet), accepts(lines, packet)];
      expect({ packet, accepted: right }).toEqual({ packet, accepted: left });
      return left;
    });
    // Packets that only ever fare alike would tell nothing apart.
    const isConditional = theirs.length > 0 && !/^allow everything$|^empty action/.test(felix.name);
    expect(new Set(answers).size).toBe(isConditional ? 2 : 1);
  });
});

function rendered(rule: FelixRule, family: IpFamily): readonly string[] {
  const rules = plannedRules(rule, family);
  const isEgress = rule.dst_ip_set_ids !== undefined;
  const chains = renderPolicyChains(activePolicy('test', isEgress ? { egress: rules } : { ingress: rules }), family);
  return chains.flatMap(renderChain);
}

/** As `planDirection` plans: by peer, numbers before names. */
function plannedRules(rule: FelixRule, family: IpFamily): readonly PlannedRule[] {
  const protocol = rule.protocol?.name;
  const isOurs = protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp';
  const base: { readonly protocol?: TransportProtocol } = isOurs ? { protocol } : {};
  return peersOf(rule, family).flatMap((peer) => portsOf(rule).map((ports) => allow({ ...base, peer, ports })));
}

function peersOf(rule: FelixRule, family: IpFamily): readonly PlannedPeer[] {
  const sets = [...(rule.src_ip_set_ids ?? []), ...(rule.dst_ip_set_ids ?? [])];
  if (sets.length > 0) return sets.map((id) => ({ kind: 'set', sets: setNames(id) }));
  const except = (rule.not_src_net ?? []).map(cidr);
  // Felix may except from everything; ours is then the block of everything.
  const everything = except.length === 0 ? [] : [except[0]?.family === 'ipv6' ? '::/0' : '0.0.0.0/0'];
  const blocks = (rule.src_net ?? everything).map(cidr);
  if (blocks.length === 0) return [{ kind: 'all' }];
  return blocks.filter((one) => one.family === family).map((one) => ({ kind: 'block', cidr: one, except }));
}

function portsOf({ dst_ports: ranges, dst_named_port_ip_set_ids: names = [] }: FelixRule): readonly PlannedPorts[] {
  const numbers: readonly PlannedPorts[] = ranges === undefined ? [] : [{ kind: 'ranges', ranges }];
  const named = names.map((id): PlannedPorts => ({ kind: 'named', sets: setNames(id) }));
  return numbers.length + named.length === 0 ? [{ kind: 'all' }] : [...numbers, ...named];
}

/** `cali40` and the id, cut to what ipset takes. */
function setNames(id: string): Readonly<Record<IpFamily, IpSetName>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the names that Felix gave
  const name = (prefix: string) => `${prefix}${id}`.slice(0, 31) as IpSetName;
  return { ipv4: name('cali40'), ipv6: name('cali60') };
}

/** At every edge of what the rule names: addresses, ports, sets one by one. */
function packetsFor(rule: FelixRule, lines: readonly string[], family: IpFamily): readonly LinePacket[] {
  const addresses = addressesFor([...(rule.src_net ?? []), ...(rule.not_src_net ?? [])].map(cidr), family);
  const edges = (rule.dst_ports ?? []).flatMap(({ first, last }) => [first - 1, first, last, last + 1]);
  const names = new Set(lines.flatMap((line) => [...line.matchAll(/--match-set (\S+)/g)].map(([, name = '']) => name)));
  const memberships = [new Set<string>(), new Set(names), ...[...names].map((name) => new Set([name]))];
  const destination = addressesFor([], family)[0] ?? knownIp('192.0.2.1');
  const ports = [...new Set([80, ...edges])];
  return ['tcp', 'udp', 'sctp', '47'].flatMap((protocol) =>
    addresses.flatMap((source) =>
      ports.flatMap((port) => memberships.map((sets) => ({ protocol, source, destination, port, sets }))),
    ),
  );
}

/** The first and the last of each network, and their neighbours outside. */
function addressesFor(networks: readonly Cidr[], family: IpFamily): readonly IpAddress[] {
  const all = 1n << BigInt(bitsOf(family));
  const edges = networks
    .filter((network) => network.family === family)
    .flatMap((network) => {
      const first = ipToInteger(network.address);
      const last = first + (1n << BigInt(bitsOf(family) - network.prefixLength)) - 1n;
      return [first - 1n, first, last, last + 1n].filter((value) => value >= 0n && value < all);
    });
  const plain = knownIp(family === 'ipv4' ? '192.0.2.1' : '2001:db8::1');
  return [...new Set([plain, ...edges.map((value) => ipFromInteger(value, family))])];
}
