import { expect, test } from 'vitest';
import type { Action, Match } from '../../src/dataplane/rule.ts';
import { everyBranch } from '../../src/dataplane/trace/branches.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { shareOf, shareToNumber } from '../../src/dataplane/trace/share.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import { back, dataplane, drop, dst, goto, hasMark, hook, host, ip, jump, mark, rule } from './hand-made.ts';

const dnat = (address: string, port: number): Action => ({ kind: 'dnat', address: ip(address), port });
const masquerade: Action = { kind: 'masquerade', randomFully: true };
const chance = (probability: number): Match => ({ kind: 'probability', probability });
const packet = packetOf({
  source: ip('10.0.0.5'),
  destination: ip('10.96.0.1'),
  destinationPort: 80,
  inInterface: 'cali1',
});

/** KUBE chains in small: the VIP goes to `endpoints`, marked for masquerade. */
function service(endpoints: readonly string[]) {
  const balanced = endpoints.map((address, index) =>
    rule(index === endpoints.length - 1 ? [] : [chance(1 / (endpoints.length - index))], dnat(address, 8080)),
  );
  const nat = {
    'KUBE-SERVICES': [rule([dst('10.96.0.1/32')], jump('KUBE-SVC-A'))],
    'KUBE-SVC-A': [rule([], jump('KUBE-MARK-MASQ')), ...balanced],
    'KUBE-MARK-MASQ': [rule([], mark(0x4000))],
    'KUBE-POSTROUTING': [
      rule([{ kind: 'mark', value: 0x4000, mask: 0x4000, negate: true }], back),
      rule([], { kind: 'xor-mark', value: 0x4000 }),
      rule([], masquerade),
    ],
  };
  const hooks = [
    hook('nat', 'PREROUTING', rule([], jump('KUBE-SERVICES'))),
    hook('nat', 'OUTPUT', rule([], jump('KUBE-SERVICES'))),
    hook('nat', 'POSTROUTING', rule([], jump('KUBE-POSTROUTING'))),
  ];
  return { chains: { nat }, hooks };
}

const routes = { '10.0.0.6': { outInterface: 'cali2', sourceAddress: ip('10.0.0.1') } };

test('DNAT changes where the packet is routed; masquerade gives it the address of that side', () => {
  const trace = new NodeTracer(dataplane(service(['10.0.0.6'])), host(routes)).receive(packet, { record: true });
  expect(trace).toMatchObject({
    verdict: 'accept',
    exit: 'interface',
    packet: {
      source: '10.0.0.1',
      destination: '10.0.0.6',
      destinationPort: 8080,
      outInterface: 'cali2',
      isDnat: true,
      isSnat: true,
      mark: 0,
    },
  });
});

test('FORWARD sees the packet after DNAT and before masquerade', () => {
  const made = service(['10.0.0.6']);
  const rules = [
    hook('filter', 'FORWARD', rule([dst('10.0.0.6/32'), { kind: 'ctstate', states: ['DNAT'] }, hasMark(0x4000)], drop)),
  ];
  const trace = new NodeTracer(dataplane({ ...made, hooks: [...made.hooks, ...rules] }), host(routes)).receive(packet);
  expect(trace).toMatchObject({ verdict: 'drop', packet: { source: '10.0.0.5', outInterface: 'cali2' } });
});

test.each(['ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'] as const)('nat is not asked about %s packets', (state) => {
  const trace = new NodeTracer(dataplane(service(['10.0.0.6'])), host(routes)).receive({ ...packet, state });
  expect(trace.packet.destination).toBe('10.96.0.1');
});

test('the node’s own packets are translated in OUTPUT, and leave by the new route', () => {
  const own = { ...packet, source: ip('192.0.2.1') };
  const trace = new NodeTracer(dataplane(service(['10.0.0.6'])), host(routes)).send(own);
  expect(trace.packet).toMatchObject({ source: '10.0.0.1', destination: '10.0.0.6', outInterface: 'cali2' });
});

test('filter OUTPUT still has the interface of the first route (seen on kernel 6.18)', () => {
  const made = service(['10.0.0.6']);
  const out = (name: string) => {
    const match: Match = { kind: 'interface', direction: 'out', name };
    const hooks = [...made.hooks, hook('filter', 'OUTPUT', rule([dst('10.0.0.6/32'), match], drop))];
    return new NodeTracer(dataplane({ ...made, hooks }), host(routes)).send(packet).verdict;
  };
  expect([out('eth0'), out('cali2')]).toEqual(['drop', 'accept']);
});

test('DNAT to the node itself is delivered through INPUT', () => {
  const made = service(['192.0.2.1']);
  const hooks = [...made.hooks, hook('filter', 'INPUT', rule([dst('192.0.2.1/32')], { kind: 'reject' }))];
  expect(new NodeTracer(dataplane({ ...made, hooks }), host()).receive(packet).verdict).toBe('reject');
  expect(new NodeTracer(dataplane(made), host()).receive(packet).exit).toBe('local');
});

test('masquerade without an address to give drops, as the kernel does', () => {
  const bare = host({ '10.0.0.6': { outInterface: 'cali2' } });
  expect(new NodeTracer(dataplane(service(['10.0.0.6'])), bare).receive(packet).verdict).toBe('drop');
});

test('only a bridged packet has a port to leave by', () => {
  const bridge = { outInterface: 'cni0', outPort: 'veth6' };
  const tracer = new NodeTracer(dataplane({}), host({ '10.0.0.6': bridge }));
  const to = { ...packet, destination: ip('10.0.0.6') };
  expect(tracer.receive({ ...to, inInterface: 'cni0', inPort: 'veth5' }).packet.outPort).toBe('veth6');
  expect(tracer.receive({ ...to, inInterface: 'eth0' }).packet.outPort).toBeUndefined();
  expect(tracer.send(to).packet.outPort).toBeUndefined();
});

test('every endpoint is a branch, with an exact share', () => {
  const tracer = new NodeTracer(dataplane(service(['10.0.0.6', '10.0.0.7', '10.0.0.8'])), host());
  const branches = everyBranch((choices) => tracer.receive(packet, { choices }));
  expect(branches.map(({ probability, result }) => [result.packet.destination, probability])).toEqual([
    ['10.0.0.6', { numerator: 1n, denominator: 3n }],
    ['10.0.0.7', { numerator: 1n, denominator: 3n }],
    ['10.0.0.8', { numerator: 1n, denominator: 3n }],
  ]);
  expect(branches.map(({ probability }) => shareToNumber(probability))).toEqual([1 / 3, 1 / 3, 1 / 3]);
});

test('a balanced tree of twelve endpoints is a twelfth each', () => {
  const quarter = (third: number) =>
    Array.from({ length: 4 }, (_, index) =>
      rule(index === 3 ? [] : [chance(1 / (4 - index))], dnat(`10.0.${third}.${index}`, 8080)),
    );
  const nat = {
    'KUBE-SVC-A': [
      rule([chance(1 / 3)], goto('KUBE-SVC-0')),
      rule([chance(1 / 2)], goto('KUBE-SVC-1')),
      rule([], goto('KUBE-SVC-2')),
    ],
    'KUBE-SVC-0': quarter(0),
    'KUBE-SVC-1': quarter(1),
    'KUBE-SVC-2': quarter(2),
  };
  const hooks = [hook('nat', 'PREROUTING', rule([], jump('KUBE-SVC-A')))];
  const tracer = new NodeTracer(dataplane({ chains: { nat }, hooks }), host());
  const branches = everyBranch((choices) => tracer.receive(packet, { choices }));
  expect(branches.map(({ probability }) => probability)).toEqual(
    Array.from({ length: 12 }, () => ({ numerator: 1n, denominator: 12n })),
  );
});

test('a probability outside everyBranch is refused instead of guessed', () => {
  const tracer = new NodeTracer(dataplane(service(['10.0.0.6', '10.0.0.7'])), host());
  expect(() => tracer.receive(packet)).toThrow('outside everyBranch');
});

test.each<[number, bigint, bigint]>([
  [1 / 3, 1n, 3n],
  [0.3333333333, 1n, 3n],
  [0.5, 1n, 2n],
  [2 / 7, 2n, 7n],
  [1 / 9999, 1n, 9999n],
  [1, 1n, 1n],
  [0, 0n, 1n],
])('the share behind %f', (probability, numerator, denominator) => {
  expect(shareOf(probability)).toEqual({ numerator, denominator });
});
