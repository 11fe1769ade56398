/** Which open connections a policy denies: by the same rules that a new packet would meet. */
import { describe, expect, test } from 'vitest';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import type { CompileOptions } from '../../src/compile/options.ts';
import { CutJudge } from '../../src/compile/cut.ts';
import { parseConversationMember } from '../../src/dataplane/conversation.ts';
import { service } from '../lab/cluster.ts';
import { block, ip, labels, pod, pods, policy, range, rule } from '../policy/objects.ts';
import { bridged, nodeObject, type NodePod, routed, testNode } from './node.ts';

const appP = { app: 'p' };
const p = pod('a/p', { ips: ['10.9.0.10', 'fd09::10'], labels: appP });
const q = pod('a/q', { ips: ['10.9.0.11', 'fd09::11'], labels: { app: 'q' } });
/** On other nodes, inside and outside. */
const remote = pod('a/remote', { ips: ['10.8.0.5', 'fd08::5'], labels: { app: 'remote' }, node: 'node-b' });

const wirings: readonly [string, readonly NodePod[]][] = [
  [
    'routed',
    [
      { pod: p, binding: routed('vethp') },
      { pod: q, binding: routed('vethq') },
    ],
  ],
  [
    'bridged',
    [
      { pod: p, binding: bridged('vethp') },
      { pod: q, binding: bridged('vethq') },
    ],
  ],
  [
    'bridged, ports not known',
    [
      { pod: p, binding: bridged() },
      { pod: q, binding: bridged() },
    ],
  ],
];

const denyIn = policy('a/deny-in', { podSelector: labels(appP) });
const denyOut = policy('a/deny-out', { podSelector: labels(appP), egress: [] });
const fromRemote = policy('a/from-remote', {
  podSelector: labels(appP),
  ingress: [rule([pods(labels({ app: 'remote' }))], [range(80)])],
});
const toOutside = policy('a/to-outside', {
  podSelector: labels(appP),
  egress: [rule([block('203.0.113.0/24', '203.0.113.128/25')])],
});

describe.each(wirings)('%s pods', (_name, nodePods) => {
  const every = [
    '10.9.0.11,tcp:80,10.9.0.10', // q to p
    '10.9.0.10,udp:53,10.9.0.11', // p to q
    '10.8.0.5,tcp:80,10.9.0.10', // remote to p
    '10.8.0.5,tcp:81,10.9.0.10',
    '10.8.0.5,sctp:80,10.9.0.10',
    '10.9.0.10,tcp:443,203.0.113.1', // p to outside
    '10.9.0.10,tcp:443,203.0.113.200',
    '10.9.0.10,tcp:8080,192.0.2.1', // p to its node
    '10.9.0.10,icmp:echo-request,10.8.0.5',
    '10.8.0.5,icmp:echo-request,10.9.0.10',
    'fd09::11,tcp:80,fd09::10',
    'fd09::10,ipv6-icmp:echo-request,fd08::5',
    // never denied
    '10.9.0.10,tcp:80,10.9.0.10',
    '192.0.2.1,tcp:80,10.9.0.10',
    '10.9.0.1,tcp:80,10.9.0.10',
    '127.0.0.1,tcp:80,10.9.0.10',
    '169.254.7.7,tcp:80,10.9.0.10',
    '10.9.0.11,tcp:80,10.8.0.5',
    '10.9.0.11,tcp:80,192.0.2.1',
    '10.8.0.5,tcp:80,203.0.113.1',
  ];

  function deniedBy(policies: readonly NetworkPolicy[], options: Partial<CompileOptions> = {}) {
    const { dataplane, endpoints } = testNode(nodePods, [remote, ...policies], options);
    const judge = new CutJudge({ dataplane, endpoints, nodeAddresses: [...nodeObject.addresses, ip('10.9.0.1')] });
    return every.filter((member) => {
      const conversation = parseConversationMember(member);
      return conversation !== undefined && judge.isDenied(conversation);
    });
  }

  test('nothing without a policy', () => {
    expect(deniedBy([])).toEqual([]);
  });

  test('ingress is judged at the server, whoever the client is', () => {
    expect(deniedBy([denyIn])).toEqual([
      '10.9.0.11,tcp:80,10.9.0.10',
      '10.8.0.5,tcp:80,10.9.0.10',
      '10.8.0.5,tcp:81,10.9.0.10',
      '10.8.0.5,sctp:80,10.9.0.10',
      '10.8.0.5,icmp:echo-request,10.9.0.10',
      'fd09::11,tcp:80,fd09::10',
    ]);
  });

  test('egress is judged at the client, also to its own node', () => {
    const outwards = [
      '10.9.0.10,udp:53,10.9.0.11',
      '10.9.0.10,tcp:443,203.0.113.1',
      '10.9.0.10,tcp:443,203.0.113.200',
      '10.9.0.10,tcp:8080,192.0.2.1',
      '10.9.0.10,icmp:echo-request,10.8.0.5',
      'fd09::10,ipv6-icmp:echo-request,fd08::5',
    ];
    const notItsNode = outwards.filter((member) => !member.endsWith('192.0.2.1'));
    expect(deniedBy([denyOut])).toEqual(expect.arrayContaining(outwards));
    expect(deniedBy([denyOut], { hostEgress: 'allowed' })).toEqual(expect.arrayContaining(notItsNode));
    expect(deniedBy([denyOut], { hostEgress: 'allowed' })).not.toContain('10.9.0.10,tcp:8080,192.0.2.1');
  });

  test('by peer, port and protocol', () => {
    expect(deniedBy([fromRemote])).toEqual([
      '10.9.0.11,tcp:80,10.9.0.10',
      '10.8.0.5,tcp:81,10.9.0.10',
      '10.8.0.5,sctp:80,10.9.0.10',
      '10.8.0.5,icmp:echo-request,10.9.0.10',
      'fd09::11,tcp:80,fd09::10',
    ]);
    expect(deniedBy([denyIn, fromRemote])).toEqual(deniedBy([fromRemote]));
  });

  test('an exception of an ipBlock', () => {
    const denied = deniedBy([toOutside]);
    expect(denied).not.toContain('10.9.0.10,tcp:443,203.0.113.1');
    expect(denied).toContain('10.9.0.10,tcp:443,203.0.113.200');
  });
});

test('what is closed to everybody is no denial of a policy', () => {
  const unknown = { pod: pod('a/unknown', { ips: ['10.9.0.99'], labels: appP }) };
  const nodePods = [{ pod: p, binding: routed('vethp') }, unknown];
  const isDenied = (objects: readonly NetworkPolicy[], member: string, options: Partial<CompileOptions> = {}) => {
    const { dataplane, endpoints } = testNode(nodePods, objects, options);
    const conversation = parseConversationMember(member);
    const judge = new CutJudge({ dataplane, endpoints, nodeAddresses: nodeObject.addresses });
    return conversation !== undefined && judge.isDenied(conversation);
  };
  // A pod that is not programmed yet is kept out by a rule of its own, until it is.
  expect(isDenied([denyOut], '10.9.0.99,tcp:80,10.9.0.10')).toBe(false);
  expect(isDenied([toOutside], '10.9.0.10,tcp:443,203.0.113.1', { hostEndpointAction: 'drop' })).toBe(false);
  const toNode = policy('a/to-node', { podSelector: labels(appP), egress: [rule([block('192.0.2.1/32')])] });
  expect(isDenied([toNode], '10.9.0.10,tcp:80,192.0.2.1', { hostEndpointAction: 'drop' })).toBe(false);
});

test('subjects are the local pods, once a policy isolates one of them', () => {
  const [, nodePods] = wirings[0] ?? ['', []];
  const subjectsOf = (...policies: readonly NetworkPolicy[]) => {
    const { dataplane, endpoints } = testNode(nodePods, policies);
    return [...new CutJudge({ dataplane, endpoints, nodeAddresses: nodeObject.addresses }).subjects];
  };
  expect(subjectsOf()).toEqual([]);
  expect(subjectsOf(denyIn)).toEqual(['10.9.0.10', 'fd09::10', '10.9.0.11', 'fd09::11']);
});

test('a Service without endpoints is no denial', () => {
  const [, nodePods] = wirings[0] ?? ['', []];
  const services = {
    nodeName: 'node-a',
    detector: { kind: 'none' },
    masqueradeAll: false,
    nodePortAddresses: [],
    localhostNodePorts: false,
    nodeAddresses: nodeObject.addresses,
    conntrackLiberal: false,
  } as const;
  const { dataplane, endpoints } = testNode(nodePods, [denyIn, service('lonely', ['10.96.0.9'])], { services });
  const judge = new CutJudge({ dataplane, endpoints, nodeAddresses: nodeObject.addresses });
  const toService = parseConversationMember('10.9.0.10,tcp:80,10.96.0.9');
  expect(dataplane.tables.ipv4.hooks.some(({ style }) => style === 'kube')).toBe(true);
  expect(toService === undefined ? undefined : judge.isDenied(toService)).toBe(false);
});

test('a judge keeps to the rules of its beginning: they may change while it works, and their sets may go', () => {
  const { dataplane, endpoints } = testNode([{ pod: p, binding: routed('vethp') }], [remote, fromRemote]);
  const live = { ipSets: new Map(dataplane.ipSets), tables: dataplane.tables };
  const judge = new CutJudge({ dataplane: live, endpoints, nodeAddresses: nodeObject.addresses });
  live.ipSets.clear();
  const answers = ['10.8.0.5,tcp:80,10.9.0.10', '10.8.0.6,tcp:80,10.9.0.10'].map((member) => {
    const conversation = parseConversationMember(member);
    return conversation !== undefined && judge.isDenied(conversation);
  });
  expect(answers).toEqual([false, true]);
});
