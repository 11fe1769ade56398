/** What the base chains mean, by packets walked through them; the facts behind them were seen with real packets. */
import { describe, expect, test } from 'vitest';
import { renderBaseChains } from '../../src/compile/base/base-chains.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import type { Hook } from '../../src/dataplane/rule.ts';
import { accept } from '../../src/dataplane/rule-parts.ts';
import type { PacketFields } from '../../src/dataplane/trace/packet.ts';
import { cidr, ip, labels, pod, policy, rule } from '../policy/objects.ts';
import { bridged, nodeOptions, type NodePod, routed, testNode } from './node.ts';

const appP = { app: 'p' };
const p = pod('a/p', { ips: ['10.9.0.10', 'fd09::10'], labels: appP });
const q = pod('a/q', { ips: ['10.9.0.11', 'fd09::11'] });
const denyP = policy('a/deny', { podSelector: labels(appP) });
const denyEgressOfP = policy('a/deny-egress', { podSelector: labels(appP), egress: [] });

/** The two ways in which pods hang on a node; what follows holds for both. */
const wirings: readonly [string, readonly NodePod[], (pod: 'p' | 'q') => Partial<PacketFields>][] = [
  [
    'routed',
    [
      { pod: p, binding: routed('vethp') },
      { pod: q, binding: routed('vethq') },
    ],
    (name) => ({ inInterface: `veth${name}` }),
  ],
  [
    'bridged',
    [
      { pod: p, binding: bridged('vethp') },
      { pod: q, binding: bridged('vethq') },
    ],
    (name) => ({ inInterface: 'cni0', inPort: `veth${name}` }),
  ],
];

const unwatched: Hook = {
  table: 'filter',
  chain: 'FORWARD',
  position: 'first',
  style: 'kube',
  rule: { matches: [], action: accept, comments: [], origin: {} },
};

describe.each(wirings)('%s pods', (_name, pods, inBy) => {
  const fromQ = { source: ip('10.9.0.11'), destination: ip('10.9.0.10'), destinationPort: 80, ...inBy('q') };
  const fromP = { source: ip('10.9.0.10'), destination: ip('10.9.0.11'), destinationPort: 80, ...inBy('p') };
  const fromOutside = { source: ip('203.0.113.9'), destination: ip('10.9.0.10'), inInterface: 'eth0' };
  const toNode = { ...fromP, destination: ip('192.0.2.1') };

  test('without policies everybody reaches everybody', () => {
    const node = testNode(pods);
    expect([node.receive(fromQ), node.receive(fromP), node.receive(toNode)]).toEqual(['accept', 'accept', 'accept']);
    expect(node.receive({ ...fromP, destination: ip('203.0.113.9') })).toBe('accept');
    expect(node.receive(fromOutside)).toBe('accept');
  });

  test('an isolated pod is reached by its node alone', () => {
    const node = testNode(pods, [denyP]);
    expect(node.receive(fromQ)).toBe('drop');
    expect(node.receive(fromOutside)).toBe('drop');
    expect(node.send({ source: ip('10.9.0.1'), destination: ip('10.9.0.10') })).toBe('accept');
    expect(node.receive(fromP)).toBe('accept');
  });

  test("egress policy holds for a pod's packets to its own node, unless the administrator says not", () => {
    expect(testNode(pods, [denyEgressOfP]).receive(toNode)).toBe('drop');
    expect(testNode(pods, [denyEgressOfP], { hostEgress: 'allowed' }).receive(toNode)).toBe('accept');
  });

  test('replies to a probe of the node pass an egress deny', () => {
    const reply = { ...toNode, destination: ip('10.9.0.1'), state: 'ESTABLISHED', direction: 'REPLY' } as const;
    expect(testNode(pods, [denyEgressOfP]).receive(reply)).toBe('accept');
  });

  test('hostEndpointAction drop keeps pods from the node, and nobody else', () => {
    const node = testNode(pods, [], { hostEndpointAction: 'drop' });
    expect(node.receive(toNode)).toBe('drop');
    expect(node.receive({ source: ip('203.0.113.9'), destination: ip('192.0.2.1'), inInterface: 'eth0' })).toBe(
      'accept',
    );
  });

  test.each([
    ['its own', '10.9.0.10', 'accept'],
    ["its neighbour's", '10.9.0.11', 'drop'],
    ["nobody's", '10.9.0.77', 'drop'],
    ["the gateway's", '10.9.0.1', 'drop'],
    ["somebody's outside", '203.0.113.9', 'drop'],
  ])('a pod that sends from %s address', (_whose, source, verdict) => {
    expect(testNode(pods).receive({ ...fromP, source: ip(source), destination: ip('203.0.113.1') })).toBe(verdict);
  });

  test('a pod in one family cannot borrow an address of the other', () => {
    const single = pods.map(({ pod: own, ...rest }) => ({ ...rest, pod: { ...own, ips: own.ips.slice(0, 1) } }));
    const packet = { ...fromP, family: 'ipv6', source: ip('fd09::11'), destination: ip('2001:db8::9') } as const;
    expect(testNode(single).receive(packet)).toBe('drop');
  });

  test('annotated prefixes may be sources too', () => {
    const [first, ...rest] = pods;
    const exempt = { ...first, pod: { ...p, allowedSources: [cidr('203.0.113.0/24')] } };
    const packet = { ...fromP, source: ip('203.0.113.9'), destination: ip('198.51.100.1') };
    expect(testNode([exempt, ...rest]).receive(packet)).toBe('accept');
  });

  test('DHCP and IPv6 neighbour discovery pass policy and the source check, other link-local packets do not', () => {
    const node = testNode(pods, [denyP, denyEgressOfP]);
    const icmp = { ...inBy('p'), protocol: 'ipv6-icmp', state: 'UNTRACKED', destination: ip('ff02::1') } as const;
    const verdictOf = (source: string, icmpType: number) => node.receive({ ...icmp, source: ip(source), icmpType });
    expect([133, 135, 136, 143].map((type) => verdictOf('fe80::10', type))).toEqual(Array(4).fill('accept'));
    expect(verdictOf('::', 135)).toBe('accept');
    expect(verdictOf('fd09::10', 135)).toBe('accept');
    expect(verdictOf('fd09::11', 136)).toBe('drop');
    expect([134, 137].map((type) => verdictOf('fe80::10', type))).toEqual(['drop', 'drop']);
    expect(verdictOf('fe80::10', 128)).toBe('drop');
    const dhcp = { ...inBy('p'), protocol: 'udp', sourcePort: 68, destinationPort: 67 } as const;
    const allowed = testNode(pods);
    expect(allowed.receive({ ...dhcp, source: ip('0.0.0.0'), destination: ip('10.9.0.1') })).toBe('accept');
    expect(allowed.receive({ ...dhcp, source: ip('0.0.0.0'), destination: ip('10.9.0.1'), destinationPort: 53 })).toBe(
      'drop',
    );
  });

  test('a pod reaches itself through a Service whatever its policies say', () => {
    const node = testNode(pods, [denyP, denyEgressOfP]);
    const hairpin = { ...fromP, destination: ip('10.9.0.10'), isDnat: true, mark: 0x4000 };
    expect(node.receive(hairpin)).toBe('accept');
    expect(node.receive({ ...hairpin, destination: ip('10.9.0.11') })).toBe('drop');
    expect(node.receive({ ...hairpin, isDnat: false })).toBe('drop');
  });

  test('marks that another program left do not count, a foreign ACCEPT above ours closes', () => {
    expect(testNode(pods, [denyP]).receive({ ...fromQ, mark: 0x10000 })).toBe('drop');
    const node = testNode(pods, [denyP], {}, { foreign: [unwatched] });
    expect(node.receive(fromQ)).toBe('drop');
    expect(node.receive(fromP)).toBe('drop');
    expect(node.receive({ ...fromQ, destination: ip('203.0.113.9') })).toBe('accept');
    expect(node.send({ source: ip('10.9.0.1'), destination: ip('10.9.0.10') })).toBe('accept');
  });

  test('a cut connection is cut in both directions, though conntrack still knows it', () => {
    const established = { ...fromQ, state: 'ESTABLISHED', sourcePort: 40_000 } as const;
    const reply = {
      ...fromP,
      state: 'ESTABLISHED',
      direction: 'REPLY',
      sourcePort: 80,
      destinationPort: 40_000,
    } as const;
    const toNodePort = { ...toNode, state: 'ESTABLISHED' } as const;
    const verdicts = (cut: readonly string[]) => {
      const node = testNode(pods, [], {}, { cut });
      return [established, reply, toNodePort].map((packet) => node.receive(packet));
    };
    expect(verdicts([])).toEqual(['accept', 'accept', 'accept']);
    expect(verdicts(['10.9.0.11,tcp:80,10.9.0.10'])).toEqual(['drop', 'drop', 'accept']);
    expect(verdicts(['10.9.0.10,tcp:80,192.0.2.1'])).toEqual(['accept', 'accept', 'drop']);
  });

  test('established keep needs no set to cut by', () => {
    const { dataplane } = testNode(pods, [], { established: 'keep' });
    expect([...dataplane.ipSets.keys()].filter((name) => name.includes('cut'))).toEqual([]);
    const texts = [...dataplane.tables.ipv4.chains.filter.values()].flatMap(renderChain);
    expect(texts.filter((line) => line.includes('cali40cut'))).toEqual([]);
  });
});

describe('a pod that is not programmed yet', () => {
  const stranger: NodePod = { pod: pod('a/new', { ips: ['10.9.0.50', 'fd09::50'] }) };
  const pods = [...(wirings[0]?.[1] ?? []), stranger];
  const fromStranger = { source: ip('10.9.0.50'), destination: ip('10.9.0.11'), inInterface: 'vethnew' };
  const cases: readonly [string, PacketFields, 'accept' | 'drop'][] = [
    ['to a pod', fromStranger, 'drop'],
    ['to the world', { ...fromStranger, destination: ip('203.0.113.9') }, 'drop'],
    ['to its node', { ...fromStranger, destination: ip('192.0.2.1') }, 'drop'],
    ['to its gateway', { ...fromStranger, destination: ip('10.9.0.1') }, 'drop'],
    [
      'answers a probe',
      { ...fromStranger, destination: ip('10.9.0.1'), state: 'ESTABLISHED', direction: 'REPLY' },
      'accept',
    ],
    ['is spoken to by a pod', { source: ip('10.9.0.11'), destination: ip('10.9.0.50'), inInterface: 'vethq' }, 'drop'],
    [
      'asks for its neighbours',
      {
        source: ip('fd09::50'),
        destination: ip('ff02::1'),
        protocol: 'ipv6-icmp',
        icmpType: 135,
        inInterface: 'vethnew',
      },
      'accept',
    ],
    ['to a pod, in IPv6', { source: ip('fd09::50'), destination: ip('fd09::11'), inInterface: 'vethnew' }, 'drop'],
  ];

  test.each(cases)('%s', (_what, packet, verdict) => {
    expect(testNode(pods).receive(packet)).toBe(verdict);
  });

  test('its node speaks to it', () => {
    expect(testNode(pods).send({ source: ip('10.9.0.1'), destination: ip('10.9.0.50') })).toBe('accept');
  });

  test('podStart open lets it out', () => {
    expect(testNode(pods, [], { podStart: 'open' }).receive(fromStranger)).toBe('accept');
  });

  test('a source in the CIDR of another node is not unknown', () => {
    const remote = { source: ip('10.9.1.5'), destination: ip('10.9.0.11'), inInterface: 'eth0' };
    expect(testNode(pods).receive(remote)).toBe('accept');
  });
});

describe('a bridged pod whose port is not found', () => {
  const pods: readonly NodePod[] = [
    { pod: p, binding: bridged() },
    { pod: q, binding: bridged('vethq') },
  ];
  const fromP = { source: ip('10.9.0.10'), destination: ip('10.9.0.11'), inInterface: 'cni0', inPort: 'vethx' };

  test('is policed by its address, both ways', () => {
    expect(testNode(pods).receive(fromP)).toBe('accept');
    expect(testNode(pods, [denyEgressOfP]).receive(fromP)).toBe('drop');
    const fromQ = { source: ip('10.9.0.11'), destination: ip('10.9.0.10'), inInterface: 'cni0', inPort: 'vethq' };
    expect(testNode(pods, [denyP]).receive(fromQ)).toBe('drop');
  });
});

describe('interfaces that belong to pods alone', () => {
  const pods: readonly NodePod[] = [
    { pod: p, binding: routed('calip') },
    { pod: q, binding: routed('vethq') },
    { pod: pod('a/b', { ips: ['10.9.0.12'] }), binding: bridged('vethb') },
  ];
  const options = { interfacePrefixes: ['cali', 'calico'] } as const;
  const fromP = { source: ip('10.9.0.10'), destination: ip('10.9.0.11'), inInterface: 'calip' };

  test('a known one is policed, with or without the prefix', () => {
    expect(testNode(pods, [], options).receive(fromP)).toBe('accept');
    expect(testNode(pods, [denyEgressOfP], options).receive(fromP)).toBe('drop');
    expect(
      testNode(pods, [denyP], options).receive({
        source: ip('10.9.0.11'),
        destination: ip('10.9.0.10'),
        inInterface: 'vethq',
      }),
    ).toBe('drop');
    const denyAll = policy('a/all', { ingress: [], egress: [] });
    const fromQ = { source: ip('10.9.0.11'), destination: ip('203.0.113.9'), inInterface: 'vethq' };
    expect(testNode(pods, [denyAll], options).receive(fromQ)).toBe('drop');
    expect(
      testNode(pods, [denyAll], options).receive({
        ...fromQ,
        source: ip('10.9.0.12'),
        inInterface: 'cni0',
        inPort: 'vethb',
      }),
    ).toBe('drop');
  });

  test('an unknown one is dropped: to pods, to the world, to the node', () => {
    const node = testNode(pods, [], { ...options, podStart: 'open' });
    const unknown = { source: ip('10.9.0.60'), inInterface: 'calinew' };
    const verdicts = ['10.9.0.11', '203.0.113.9', '192.0.2.1'].map((to) =>
      node.receive({ ...unknown, destination: ip(to) }),
    );
    expect(verdicts).toEqual(['drop', 'drop', 'drop']);
  });

  test('an unknown one without the prefix is not', () => {
    const packet = { source: ip('10.9.0.60'), destination: ip('203.0.113.9'), inInterface: 'eth1' };
    expect(testNode(pods, [], { ...options, podStart: 'open' }).receive(packet)).toBe('accept');
  });
});

test('a dispatch that begins with the same letter as the bridge does not hide the bridge', () => {
  const names = ['cnia', 'cnib'];
  const pods: readonly NodePod[] = [
    ...names.map((name, index) => ({ pod: pod(`a/${name}`, { ips: [`10.9.0.2${index}`] }), binding: routed(name) })),
    { pod: pod('a/x', { ips: ['10.9.0.30'] }), binding: routed('veth') },
    { pod: p, binding: bridged('vethp') },
  ];
  const fromP = { source: ip('10.9.0.10'), destination: ip('203.0.113.9'), inInterface: 'cni0', inPort: 'vethp' };
  expect(testNode(pods).receive(fromP)).toBe('accept');
  expect(testNode(pods, [denyEgressOfP]).receive(fromP)).toBe('drop');
  expect(testNode(pods).receive({ ...fromP, source: ip('10.9.0.99') })).toBe('drop');
});

test('every rule says in a sentence what it is for, and no name is too long', () => {
  const input = {
    family: 'ipv6',
    options: nodeOptions,
    podCidrs: [cidr('fd09::/64')],
    endpoints: [
      {
        object: 'Pod a/p',
        chainSuffix: 'vethp',
        binding: bridged('vethp'),
        address: ip('fd09::10'),
        allowedSources: [],
      },
    ],
  } as const;
  const chains = renderBaseChains(input).map(({ chain }) => chain);
  expect(chains.length).toBeGreaterThan(10);
  expect(chains.flatMap(({ rules }) => rules).filter(({ origin }) => origin.note === undefined)).toEqual([]);
  expect(chains.filter(({ name }) => name.length > 28)).toEqual([]);
});

describe.each(['open', 'closed'] as const)('an isolated pod whose interface is not known (podStart %s)', (podStart) => {
  const pods: readonly NodePod[] = [{ pod: p }, { pod: q, binding: routed('vethq') }];
  const toP = { destination: ip('10.9.0.10'), destinationPort: 80 };

  test('nobody gets round its policies, neither in nor out; its node still speaks to it', () => {
    const node = testNode(pods, [denyP], { podStart });
    expect(node.receive({ source: ip('10.9.0.11'), inInterface: 'vethq', ...toP })).toBe('drop');
    expect(node.receive({ source: ip('203.0.113.9'), inInterface: 'eth0', ...toP })).toBe('drop');
    const out = { source: ip('10.9.0.10'), destination: ip('203.0.113.9'), inInterface: 'veth-new' };
    expect(node.receive(out)).toBe('drop');
    // The chains of another pod accept for that pod alone.
    expect(node.receive({ ...out, destination: ip('10.9.0.11') })).toBe('drop');
    expect(node.send({ source: ip('192.0.2.1'), ...toP })).toBe('accept');
  });

  test('without policies only podStart counts', () => {
    const node = testNode(pods, [], { podStart });
    const verdict = podStart === 'open' ? 'accept' : 'drop';
    expect(node.receive({ source: ip('10.9.0.11'), inInterface: 'vethq', ...toP })).toBe(verdict);
  });
});

test('rules for everybody: an empty policy list leaves the node itself alone', () => {
  const node = testNode([], [policy('a/all', { ingress: [rule()] })]);
  expect(node.receive({ source: ip('203.0.113.9'), destination: ip('192.0.2.1'), inInterface: 'eth0' })).toBe('accept');
  expect(node.receive({ source: ip('203.0.113.9'), destination: ip('198.51.100.9'), inInterface: 'eth0' })).toBe(
    'accept',
  );
});
