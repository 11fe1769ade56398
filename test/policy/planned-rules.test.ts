import { describe, expect, test } from 'vitest';
import type { NetworkPolicy, PolicyPort } from '../../src/cluster/objects.ts';
import { formatCidr } from '../../src/lib/ip.ts';
import type { Direction, PlannedRule } from '../../src/policy/plan.ts';
import { planDirection } from '../../src/policy/planned-rules.ts';
import type { ProtocolPorts } from '../../src/policy/ports.ts';
import { portsByProtocol } from '../../src/policy/ports.ts';
import type { SetSpec } from '../../src/policy/set-spec.ts';
import { anyPort, block, empty, labels, named, pods, policy, range, rule } from './objects.ts';

const k8s = 'projectcalico.org/orchestrator == "k8s"';
const own = `(${k8s} && projectcalico.org/namespace == "ns")`;
const web = `(projectcalico.org/namespace == "ns" && (${k8s} && app == "web"))`;
const webPods = pods(labels({ app: 'web' }));

describe('ports by protocol', () => {
  test.each<[string, readonly PolicyPort[] | undefined, readonly ProtocolPorts[]]>([
    ['absent: everything', undefined, [{ all: true, ranges: [], names: [] }]],
    [
      'protocols by name',
      [range(53, 53, 'UDP'), range(80), range(7, 7, 'SCTP')],
      [
        { protocol: 'sctp', all: false, ranges: [{ first: 7, last: 7 }], names: [] },
        { protocol: 'tcp', all: false, ranges: [{ first: 80, last: 80 }], names: [] },
        { protocol: 'udp', all: false, ranges: [{ first: 53, last: 53 }], names: [] },
      ],
    ],
    [
      'sorted, merged where they touch or overlap',
      [range(443), range(82), range(80), range(81), range(90, 100), range(95, 97), range(80)],
      [
        {
          protocol: 'tcp',
          all: false,
          ranges: [
            { first: 80, last: 82 },
            { first: 90, last: 100 },
            { first: 443, last: 443 },
          ],
          names: [],
        },
      ],
    ],
    [
      'a protocol alone absorbs its own numbers and names, nobody else’s',
      [range(80), named('web'), anyPort('TCP'), range(53, 53, 'UDP')],
      [
        { protocol: 'tcp', all: true, ranges: [], names: [] },
        { protocol: 'udp', all: false, ranges: [{ first: 53, last: 53 }], names: [] },
      ],
    ],
    [
      'names once each, beside numbers',
      [named('b'), named('a'), named('b'), range(1)],
      [{ protocol: 'tcp', all: false, ranges: [{ first: 1, last: 1 }], names: ['b', 'a'] }],
    ],
  ])('%s', (_name, ports, expected) => {
    expect(portsByProtocol(ports)).toEqual(expected);
  });
});

/** `tcp from/to <peer> ports <ports>`, with sets by the text of their selectors. */
function described(given: NetworkPolicy, direction: Direction): readonly string[] {
  const { rules, sets } = planDirection(given, direction);
  return rules.map((planned) => describeRule(planned, sets));
}

function describeRule({ protocol, peer, ports }: PlannedRule, sets: readonly SetSpec[]): string {
  const textOf = (name: string) => {
    const spec = sets.find(({ names }) => names.ipv4 === name);
    return spec === undefined
      ? `unknown set ${name}`
      : `${spec.selection.text}${spec.port ? `#${spec.port.name}` : ''}`;
  };
  const who =
    peer.kind === 'set'
      ? textOf(peer.sets.ipv4)
      : peer.kind === 'block'
        ? [formatCidr(peer.cidr), ...peer.except.map((cidr) => `!${formatCidr(cidr)}`)].join(' ')
        : 'all';
  const what =
    ports.kind === 'named'
      ? textOf(ports.sets.ipv4)
      : ports.kind === 'ranges'
        ? ports.ranges.map(({ first, last }) => `${first}-${last}`).join(',')
        : 'all';
  return `${protocol ?? 'any'} | ${who} | ${what}`;
}

describe('rules of a direction', () => {
  test.each<[string, Direction, Partial<NetworkPolicy>, readonly string[]]>([
    ['no rules', 'ingress', { ingress: [] }, []],
    ['an empty rule allows all', 'ingress', { ingress: [rule()] }, ['any | all | all']],
    ['ports without peers', 'ingress', { ingress: [rule(undefined, [range(80)])] }, ['tcp | all | 80-80']],
    [
      'protocol, then peer; rules as written',
      'ingress',
      {
        ingress: [
          rule([webPods, block('10.0.0.0/8', '10.1.0.0/16')], [range(53, 53, 'UDP'), range(53)]),
          rule([webPods]),
        ],
      },
      [
        `tcp | ${web} | 53-53`,
        'tcp | 10.0.0.0/8 !10.1.0.0/16 | 53-53',
        `udp | ${web} | 53-53`,
        'udp | 10.0.0.0/8 !10.1.0.0/16 | 53-53',
        `any | ${web} | all`,
      ],
    ],
    [
      "a named port of ingress is the policy's own pods', whoever the peer is",
      'ingress',
      { ingress: [rule([webPods, block('10.0.0.0/8')], [named('http'), range(80)]), rule(undefined, [named('http')])] },
      [
        `tcp | ${web} | 80-80`,
        `tcp | ${web} | ${own}#http`,
        'tcp | 10.0.0.0/8 | 80-80',
        `tcp | 10.0.0.0/8 | ${own}#http`,
        `tcp | all | ${own}#http`,
      ],
    ],
    [
      "a named port of egress to pods is those pods'",
      'egress',
      { egress: [rule([webPods], [named('http'), range(80)])] },
      [`tcp | ${web} | 80-80`, `tcp | all | ${web}#http`],
    ],
    [
      'a named port of egress to a block or to everybody is that of any pod',
      'egress',
      { egress: [rule([block('10.0.0.0/8')], [named('http')]), rule(undefined, [named('http', 'UDP')])] },
      ['tcp | 10.0.0.0/8 | all()#http', 'udp | all | all()#http'],
    ],
    [
      'namespaceSelector alone and with podSelector',
      'egress',
      { egress: [rule([pods(undefined, empty), pods(labels({ app: 'web' }), labels({ team: 'a' }))])] },
      [
        `any | (has(projectcalico.org/namespace) && ${k8s}) | all`,
        `any | (pcns.team == "a" && (${k8s} && app == "web")) | all`,
      ],
    ],
  ])('%s', (_name, direction, shape, expected) => {
    expect(described(policy('ns/p', shape), direction)).toEqual(expected);
  });

  test('sets are asked for exactly as often as rules refer to them', () => {
    const { rules, sets } = planDirection(
      policy('ns/p', { egress: [rule([webPods], [named('http'), range(80)]), rule([webPods])] }),
      'egress',
    );
    const mentions = rules.flatMap(({ peer, ports }) => [
      ...(peer.kind === 'set' ? [peer.sets.ipv4] : []),
      ...(ports.kind === 'named' ? [ports.sets.ipv4] : []),
    ]);
    expect(sets.map(({ names }) => names.ipv4).sort()).toEqual(mentions.sort());
  });

  test('an origin names object, path, file and line; without a line of its own, the object’s', () => {
    const location = { file: 'db.yaml', line: 3, lines: new Map([['spec.rule.peer', 14]]) };
    const { rules } = planDirection(policy('ns/p', { location, ingress: [rule([webPods]), rule()] }), 'ingress');
    expect(rules.map(({ origin }) => origin)).toEqual([
      { object: 'NetworkPolicy ns/p', path: 'spec.rule.peer', file: 'db.yaml', line: 14 },
      { object: 'NetworkPolicy ns/p', path: 'spec.rule', file: 'db.yaml', line: 3 },
    ]);
  });
});
