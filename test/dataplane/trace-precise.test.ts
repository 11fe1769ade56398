/** What the tracer must tell apart as the kernel does, and what it must not lose on the way: mutants that survived. */
import { describe, expect, test } from 'vitest';
import type { Match, Rule } from '../../src/dataplane/rule.ts';
import { everyBranch } from '../../src/dataplane/trace/branches.ts';
import type { Packet, PacketFields } from '../../src/dataplane/trace/packet.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { shareOf } from '../../src/dataplane/trace/share.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import { accept, cidr, dataplane, drop, hasMark, hook, host, ip, jump, mark, rule, src } from './hand-made.ts';

const packet = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), destinationPort: 80 });

function catches(match: Match, fields: Partial<PacketFields>): boolean {
  const tracer = new NodeTracer(dataplane({ hooks: [hook('filter', 'FORWARD', rule([match], drop))] }), host());
  return tracer.traceHook('FORWARD', { ...packet, ...fields }).verdict === 'drop';
}

const reply: Match = { kind: 'ctdir', direction: 'REPLY' };
const snat: Match = { kind: 'ctstate', states: ['SNAT'] };
const broadcast: Match = { kind: 'addrtype', side: 'destination', type: 'BROADCAST' };

test.each<[string, Match, Partial<PacketFields>, boolean]>([
  ['the other direction', reply, { direction: 'ORIGINAL', state: 'ESTABLISHED' }, false],
  ['no direction where conntrack makes nothing of it', reply, { direction: 'REPLY', state: 'INVALID' }, false],
  ['SNAT', snat, { isSnat: true }, true],
  ['no SNAT', snat, { isSnat: false }, false],
  ['no SNAT where conntrack makes nothing of it', snat, { isSnat: true, state: 'INVALID' }, false],
  [
    'no DNAT where conntrack makes nothing of it',
    { kind: 'ctstate', states: ['DNAT'] },
    { isDnat: true, state: 'INVALID' },
    false,
  ],
  ['another prefix', { kind: 'interface', direction: 'in', name: 'cali+' }, { inInterface: 'cni0' }, false],
  ['no broadcast', broadcast, { destination: ip('10.0.0.255') }, false],
  [
    'a type of ICMPv6 that another protocol has by chance',
    { kind: 'icmpv6-type', type: 8 },
    { protocol: 'icmp', icmpType: 8 },
    false,
  ],
  ['-m recent --set: every packet', { kind: 'recent-set', list: 'KUBE-SEP-A' }, {}, true],
])('%s', (_, match, fields, expected) => {
  expect(catches(match, fields)).toBe(expected);
});

test.each([
  ['/31', src('10.0.0.4/31'), ['10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'], [false, true, true, false]],
  ['/1', src('128.0.0.0/1'), ['127.255.255.255', '128.0.0.0'], [false, true]],
] as const)('%s begins and ends where it does', (_, match, sources, expected) => {
  expect(sources.map((source) => catches(match, { source: ip(source) }))).toEqual(expected);
});

test('::1 is the node’s own, as 127.0.0.1 is', () => {
  const to = { ...packetOf({ source: ip('2001:db8::9'), destination: ip('::1') }) };
  expect(new NodeTracer(dataplane({}), host()).receive(to).exit).toBe('local');
});

test('what the node sends to itself leaves by lo, whatever port it came from', () => {
  const lo: Match = { kind: 'interface', direction: 'out', name: 'lo' };
  const tracer = new NodeTracer(dataplane({ hooks: [hook('filter', 'OUTPUT', rule([lo], drop))] }), host());
  expect(tracer.send({ ...packet, destination: ip('192.0.2.1') }).verdict).toBe('drop');
  expect(tracer.send(packet).verdict).toBe('accept');
});

test('a packet between two bridges has no port to leave by', () => {
  const tracer = new NodeTracer(dataplane({}), host({ '10.0.0.6': { outInterface: 'cni0', outPort: 'veth6' } }));
  expect(tracer.receive({ ...packet, inInterface: 'docker0', inPort: 'veth5' }).packet.outPort).toBeUndefined();
  expect(tracer.receive({ ...packet, inInterface: 'cni0' }).packet.outPort).toBeUndefined();
});

describe('a packet', () => {
  const full: Packet = {
    ...packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), sourcePort: 4000, destinationPort: 80 }),
    icmpType: 8,
    inInterface: 'cni0',
    inPort: 'veth5',
    mark: 7,
  };

  test('that meets no rule is as it came, and the trace says where it went', () => {
    const trace = new NodeTracer(
      dataplane({}),
      host({ '10.0.0.6': { outInterface: 'cni0', outPort: 'veth6' } }),
    ).receive(full);
    const { inInterface: _, ...rest } = full;
    expect(trace.packet).toEqual({ ...rest, outInterface: 'cni0', outPort: 'veth6' });
    expect(trace).toMatchObject({ verdict: 'accept', exit: 'interface', path: [] });
  });

  test('without a port or an interface has none afterwards', () => {
    const bare = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), protocol: 'icmp' });
    const after = new NodeTracer(dataplane({}), host()).traceHook('FORWARD', bare).packet;
    expect(Object.keys(after).toSorted()).toEqual(Object.keys(bare).toSorted());
  });

  test('that is refused went nowhere, also behind POSTROUTING', () => {
    for (const own of [hook('filter', 'INPUT', rule([], drop)), hook('mangle', 'POSTROUTING', rule([], drop))]) {
      const tracer = new NodeTracer(dataplane({ hooks: [own] }), host());
      const trace =
        own.chain === 'INPUT' ? tracer.receive({ ...packet, destination: ip('192.0.2.1') }) : tracer.send(packet);
      expect(trace).toMatchObject({ verdict: 'drop', exit: 'none' });
    }
  });

  test('is in each step as it was before the rule and after it', () => {
    const hooks = [rule([], mark(1)), rule([hasMark(1)], mark(2)), rule([hasMark(3)], accept)];
    const made = dataplane({ hooks: hooks.map((own) => hook('filter', 'FORWARD', own)) });
    const { path } = new NodeTracer(made, host()).traceHook('FORWARD', packet, { record: true });
    const marks = path.map((step) => [step.before.mark, step.kind === 'rule' ? step.after.mark : undefined]);
    expect(marks).toEqual([
      [0, 1],
      [1, 3],
      [3, 3],
    ]);
  });
});

test('where no rule of ours decides, the last step is the end of the kernel’s chain, after the ends of ours', () => {
  const made = dataplane({
    chains: { filter: { 'cali-a': [] } },
    hooks: [
      hook('filter', 'FORWARD', rule([], jump('cali-a'))),
      hook('filter', 'FORWARD', rule([hasMark(1)], drop), 'last'),
    ],
  });
  const { path } = new NodeTracer(made, host()).traceHook('FORWARD', packet, { record: true });
  expect(path.map(({ kind, chain, rules }) => `${kind} ${chain} ${rules.length}`)).toEqual([
    'rule FORWARD 1',
    'end cali-a 0',
    'end FORWARD 1',
  ]);
});

test('hooks that change in a live dataplane are seen at once', () => {
  const base = dataplane({});
  let hooks = [hook('filter', 'FORWARD', rule([], accept))];
  const live = {
    ipSets: base.ipSets,
    tables: {
      ...base.tables,
      get ipv4() {
        return { ...base.tables.ipv4, hooks };
      },
    },
  };
  const tracer = new NodeTracer(live, host());
  expect(tracer.traceHook('FORWARD', packet).verdict).toBe('accept');
  hooks = [hook('filter', 'FORWARD', rule([], drop))];
  expect(tracer.traceHook('FORWARD', packet).verdict).toBe('drop');
});

test('one condition is asked as behind conntrack', () => {
  const tracer = new NodeTracer(dataplane({}), host());
  expect(tracer.matches({ kind: 'ctstate', states: ['NEW'] }, packet)).toBe(true);
  expect(tracer.matches({ kind: 'ctstate', states: ['INVALID'] }, packet)).toBe(false);
});

/** Long lists are looked up by what tells most of their rules apart; the answer must be that of a walk. */
describe('a list long enough to be looked up', () => {
  const names = Array.from({ length: 7 }, (_, index) => `v${index}`);
  const via = (direction: 'in' | 'out', name: string, physical?: true, negate?: true): Match => ({
    kind: 'interface',
    direction,
    name,
    ...(physical === undefined ? {} : { physical }),
    ...(negate === undefined ? {} : { negate }),
  });
  const ports = (side: 'source' | 'destination') =>
    names.map((_, index): Match => ({ kind: 'port', side, port: index }));
  const addresses = (side: 'source' | 'destination') =>
    names.map((_, index): Match => ({ kind: 'address', side, cidr: cidr(`10.0.0.${index}/32`) }));
  const kinds: readonly (readonly [string, readonly Match[]])[] = [
    ['in', names.map((name) => via('in', name))],
    ['in-port', names.map((name) => via('in', name, true))],
    ['out', names.map((name) => via('out', name))],
    ['out-port', names.map((name) => via('out', name, true))],
    ['source', addresses('source')],
    ['destination', addresses('destination')],
    ['port', ports('destination')],
  ];
  const others: readonly Match[] = [
    via('in', 'v1', undefined, true),
    via('in', 'v+'),
    via('out', 'v2', true, true),
    via('out', 'v2'),
    { kind: 'address', side: 'source', cidr: cidr('10.0.0.2/32'), negate: true },
    { kind: 'address', side: 'destination', cidr: cidr('10.0.0.2/31') },
    { kind: 'port', side: 'source', port: 2 },
    { kind: 'port', side: 'destination', port: 1 },
  ];
  const packets = names.map((_, index): Packet => {
    const at = (shift: number): number => (index + shift) % names.length;
    return {
      ...packet,
      source: ip(`10.0.0.${index}`),
      destination: ip(`10.0.0.${at(1)}`),
      sourcePort: at(2),
      destinationPort: at(3),
      inInterface: `v${at(4)}`,
      inPort: `v${at(5)}`,
      outInterface: `v${at(6)}`,
      outPort: `v${at(2)}`,
    };
  });
  const marksOf = (rules: readonly Rule[], of: Packet): number =>
    new NodeTracer(dataplane({ hooks: rules.map((own) => hook('filter', 'FORWARD', own)) }), host()).traceHook(
      'FORWARD',
      of,
    ).packet.mark;

  test.each(kinds)('by %s', (_, matches) => {
    const mixed = matches.flatMap((match, index) => [match, ...others.slice(index, index + 2)]);
    const rules = mixed.map((match, index) => rule([match], mark(2 ** index)));
    for (const one of [...packets, packet]) {
      const alone = rules.map((own) => marksOf([own], one));
      expect(marksOf(rules, one)).toBe(alone.reduce((sum, bit) => sum + bit, 0));
    }
  });

  test('the first of its rules decides, however they were found', () => {
    const rules = [
      ...addresses('source').map((match) => rule([match], mark(1))),
      rule([], accept),
      rule([src('10.0.0.5/32')], drop),
    ];
    expect(
      new NodeTracer(dataplane({ hooks: rules.map((own) => hook('filter', 'FORWARD', own)) }), host()).traceHook(
        'FORWARD',
        packet,
      ).verdict,
    ).toBe('accept');
  });
});

test('a probability of one or none is no choice', () => {
  const chance = (probability: number): Rule[] => [rule([{ kind: 'probability', probability }], drop)];
  const verdicts = (probability: number) =>
    everyBranch((choices) =>
      new NodeTracer(
        dataplane({ hooks: chance(probability).map((own) => hook('filter', 'FORWARD', own)) }),
        host(),
      ).traceHook('FORWARD', packet, { choices }),
    ).map(({ result }) => result.verdict);
  expect([verdicts(1), verdicts(0), verdicts(0.5)]).toEqual([['drop'], ['accept'], ['drop', 'accept']]);
});

test.each<[number, bigint, bigint]>([
  [1.5, 1n, 1n],
  [-0.5, 0n, 1n],
  [1 / 10_000, 1n, 10_000n],
  [0.1234567891, 1_234_567_891n, 10_000_000_000n],
])('the share behind %f, at the limits', (probability, numerator, denominator) => {
  expect(shareOf(probability)).toEqual({ numerator, denominator });
});
