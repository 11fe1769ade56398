import { expect, test } from 'vitest';
import type { Match } from '../../src/dataplane/rule.ts';
import type { PacketFields } from '../../src/dataplane/trace/packet.ts';
import { packetOf } from '../../src/dataplane/trace/packet.ts';
import { NodeTracer } from '../../src/dataplane/trace/tracer.ts';
import { setName } from '../../src/dataplane/names.ts';
import { cidr, dataplane, drop, dst, hasMark, hook, host, ip, ipSet, rule, src } from './hand-made.ts';

const sets = [
  ipSet('net', 'hash:net', ['10.0.0.5', '10.1.0.0/16', '10.1.2.0/24']),
  ipSet('half', 'hash:net', ['0.0.0.0/1', '128.0.0.0/1']),
  ipSet('net', 'hash:net', ['2001:db8:1::/64'], 'ipv6'),
  ipSet('ip', 'hash:ip', ['10.0.0.5']),
  ipSet('port', 'hash:ip,port', ['10.0.0.6,tcp:80']),
  ipSet('cut', 'hash:ip,port,ip', ['10.0.0.5,tcp:80,10.0.0.6']),
];

/** Whether a FORWARD rule with these matches catches the packet. */
function catches(matches: readonly Match[], fields: Partial<PacketFields>): boolean {
  const tracer = new NodeTracer(dataplane({ hooks: [hook('filter', 'FORWARD', rule(matches, drop))], sets }), host());
  const packet = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), destinationPort: 80, ...fields });
  return tracer.traceHook('FORWARD', packet).verdict === 'drop';
}

const set = (
  id: string,
  sides: Extract<Match, { kind: 'ipset' }>['sides'],
  family: 'ipv4' | 'ipv6' = 'ipv4',
): Match => ({
  kind: 'ipset',
  set: setName(id, family),
  sides,
});
const v6 = { source: ip('2001:db8:1::5'), destination: ip('2001:db8:2::6') };

test.each<[string, Match, Partial<PacketFields>, boolean]>([
  ['protocol by name', { kind: 'protocol', protocol: 'tcp' }, {}, true],
  ['protocol by number', { kind: 'protocol', protocol: 6 }, {}, true],
  ['another protocol', { kind: 'protocol', protocol: 'udp' }, {}, false],
  ['sctp is 132', { kind: 'protocol', protocol: 132 }, { protocol: 'sctp' }, true],
  ['ipv6-icmp is 58', { kind: 'protocol', protocol: 58 }, { ...v6, protocol: 'ipv6-icmp' }, true],
  ['source host', src('10.0.0.5/32'), {}, true],
  ['another source host', src('10.0.0.4/32'), {}, false],
  ['source network', src('10.0.0.0/30'), { source: ip('10.0.0.3') }, true],
  ['outside the network', src('10.0.0.0/30'), {}, false],
  ['top half of the addresses', dst('128.0.0.0/1'), { destination: ip('200.0.0.1') }, true],
  ['everybody', dst('0.0.0.0/0'), {}, true],
  ['negated network', { kind: 'address', side: 'source', cidr: cidr('10.0.0.0/8'), negate: true }, {}, false],
  ['IPv6 network', dst('2001:db8:2::/64'), v6, true],
  ['another IPv6 network', dst('2001:db8:3::/64'), v6, false],
  ['IPv6 everybody', dst('::/0'), v6, true],
  ['a port', { kind: 'port', side: 'destination', port: 80 }, {}, true],
  ['another port', { kind: 'port', side: 'destination', port: 81 }, {}, false],
  [
    'port ranges',
    {
      kind: 'ports',
      side: 'destination',
      ports: [
        { first: 1, last: 2 },
        { first: 79, last: 80 },
      ],
    },
    {},
    true,
  ],
  ['beside the range', { kind: 'ports', side: 'destination', ports: [{ first: 81, last: 90 }] }, {}, false],
  ['negated range', { kind: 'ports', side: 'destination', ports: [{ first: 81, last: 90 }], negate: true }, {}, true],
  [
    'negated range and no port at all',
    { kind: 'ports', side: 'source', ports: [{ first: 81, last: 90 }], negate: true },
    {},
    false,
  ],
  ['hash:net by host', set('net', ['source']), {}, true],
  ['hash:net by network', set('net', ['source']), { source: ip('10.1.2.3') }, true],
  ['hash:net not a member', set('net', ['destination']), {}, false],
  ['hash:net with two halves', set('half', ['destination']), {}, true],
  ['hash:net IPv6', set('net', ['source'], 'ipv6'), v6, true],
  ['hash:net IPv6 not a member', set('net', ['destination'], 'ipv6'), v6, false],
  ['hash:ip', set('ip', ['source']), {}, true],
  ['hash:ip,port', set('port', ['destination', 'destination']), {}, true],
  ['hash:ip,port other protocol', set('port', ['destination', 'destination']), { protocol: 'udp' }, false],
  ['hash:ip,port source side', set('port', ['source', 'destination']), {}, false],
  ['hash:ip,port,ip', set('cut', ['source', 'destination', 'destination']), {}, true],
  [
    'hash:ip,port,ip in reply direction',
    set('cut', ['destination', 'source', 'source']),
    { source: ip('10.0.0.6'), destination: ip('10.0.0.5'), sourcePort: 80, destinationPort: 4000 },
    true,
  ],
  ['negated set', { kind: 'ipset', set: setName('ip', 'ipv4'), sides: ['source'], negate: true }, {}, false],
  ['mark', hasMark(0x10000), { mark: 0x14000 }, true],
  ['mark zero', hasMark(0, 0x20000), { mark: 0x10000 }, true],
  ['the highest mark bit', hasMark(0x80000000), { mark: 0x80000000 }, true],
  ['negated mark', { kind: 'mark', value: 0x4000, mask: 0x4000, negate: true }, { mark: 0x4000 }, false],
  ['NEW', { kind: 'ctstate', states: ['NEW'] }, {}, true],
  ['RELATED,ESTABLISHED', { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] }, { state: 'ESTABLISHED' }, true],
  ['INVALID', { kind: 'ctstate', states: ['INVALID'] }, { state: 'INVALID' }, true],
  ['untracked is not invalid', { kind: 'ctstate', states: ['INVALID'] }, { state: 'UNTRACKED' }, false],
  ['untracked', { kind: 'ctstate', states: ['UNTRACKED'] }, { state: 'UNTRACKED' }, true],
  ['DNAT', { kind: 'ctstate', states: ['DNAT'] }, { isDnat: true }, true],
  ['not DNAT', { kind: 'ctstate', states: ['DNAT'], negate: true }, { isDnat: true }, false],
  ['reply', { kind: 'ctdir', direction: 'REPLY' }, { direction: 'REPLY', state: 'ESTABLISHED' }, true],
  ['no direction without a connection', { kind: 'ctdir', direction: 'ORIGINAL' }, { state: 'UNTRACKED' }, false],
  ['in-interface', { kind: 'interface', direction: 'in', name: 'cali1' }, { inInterface: 'cali1' }, true],
  ['in-interface prefix', { kind: 'interface', direction: 'in', name: 'cali+' }, { inInterface: 'cali1' }, true],
  ['no in-interface', { kind: 'interface', direction: 'in', name: 'cali+' }, {}, false],
  ['not lo', { kind: 'interface', direction: 'in', name: 'lo', negate: true }, {}, true],
  ['out-interface', { kind: 'interface', direction: 'out', name: 'eth0' }, { outInterface: 'eth0' }, true],
  ['bridge port in', { kind: 'interface', direction: 'in', name: 'v1', physical: true }, { inPort: 'v1' }, true],
  ['a bridge port is no interface', { kind: 'interface', direction: 'in', name: 'v1' }, { inPort: 'v1' }, false],
  ['bridge port out', { kind: 'interface', direction: 'out', name: 'v1', physical: true }, { outPort: 'v1' }, true],
  ['local source', { kind: 'addrtype', side: 'source', type: 'LOCAL' }, { source: ip('192.0.2.1') }, true],
  [
    'loopback is local',
    { kind: 'addrtype', side: 'destination', type: 'LOCAL' },
    { destination: ip('127.0.0.9') },
    true,
  ],
  ['not local', { kind: 'addrtype', side: 'source', type: 'LOCAL', negate: true }, {}, true],
  ['multicast', { kind: 'addrtype', side: 'destination', type: 'MULTICAST' }, { destination: ip('224.0.0.1') }, true],
  ['unicast', { kind: 'addrtype', side: 'destination', type: 'MULTICAST' }, {}, false],
  [
    'broadcast',
    { kind: 'addrtype', side: 'destination', type: 'BROADCAST' },
    { destination: ip('255.255.255.255') },
    true,
  ],
  ['neighbour solicitation', { kind: 'icmpv6-type', type: 135 }, { ...v6, protocol: 'ipv6-icmp', icmpType: 135 }, true],
  ['another ICMPv6 type', { kind: 'icmpv6-type', type: 135 }, { ...v6, protocol: 'ipv6-icmp', icmpType: 128 }, false],
  ['a client nobody remembers', { kind: 'recent-check', list: 'KUBE-SEP-A', seconds: 60 }, {}, false],
])('%s', (_name, match, fields, expected) => {
  expect(catches([match], fields)).toBe(expected);
});

test('all matches of a rule must hold', () => {
  expect(catches([src('10.0.0.5/32'), dst('10.0.0.6/32')], {})).toBe(true);
  expect(catches([src('10.0.0.5/32'), dst('10.0.0.7/32')], {})).toBe(false);
});

test('a client that is remembered matches its list', () => {
  const remembered: Match = { kind: 'recent-check', list: 'KUBE-SEP-A', seconds: 60 };
  const tracer = new NodeTracer(dataplane({ hooks: [hook('filter', 'FORWARD', rule([remembered], drop))] }), host());
  const packet = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6') });
  expect(tracer.traceHook('FORWARD', packet, { recent: new Set(['KUBE-SEP-A']) }).verdict).toBe('drop');
});

test('conntrack has not seen a packet in raw', () => {
  const state = (states: Extract<Match, { kind: 'ctstate' }>['states']) =>
    new NodeTracer(
      dataplane({ hooks: [hook('raw', 'PREROUTING', rule([{ kind: 'ctstate', states }], drop))] }),
      host(),
    );
  const packet = packetOf({ source: ip('10.0.0.5'), destination: ip('10.0.0.6'), state: 'ESTABLISHED' });
  expect(state(['ESTABLISHED']).receive(packet).verdict).toBe('accept');
  expect(state(['INVALID']).receive(packet).verdict).toBe('drop');
});

test('a set that does not exist is a bug, not a miss', () => {
  expect(() => catches([set('nosuch', ['source'])], {})).toThrow('set cali40nosuch, which does not exist');
});
