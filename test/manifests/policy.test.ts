import { expect, test } from 'vitest';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import { messages, parse } from './read.ts';

function policy(spec: string): NetworkPolicy | undefined {
  const text = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n${spec}\n`;
  const [object] = parse(text);
  return object?.kind === 'NetworkPolicy' ? object : undefined;
}

/** The API server's own defaults: Ingress always, Egress where there is at least one egress rule. */
test.each([
  ['spec: {podSelector: {}}', true, false],
  ['spec: {podSelector: {}, policyTypes: []}', true, false],
  ['spec: {podSelector: {}, policyTypes: null}', true, false],
  ['spec: {podSelector: {}, egress: []}', true, false],
  ['spec: {podSelector: {}, egress: null}', true, false],
  ['spec: {podSelector: {}, egress: [{}]}', true, true],
  ['spec: {podSelector: {}, policyTypes: [Egress]}', false, true],
  ['spec: {podSelector: {}, policyTypes: [Ingress], egress: [{}]}', true, false],
  ['spec: {podSelector: {}, policyTypes: [Egress, Ingress]}', true, true],
  ['spec: {podSelector: {}, policyTypes: [Egress, Egress]}', false, true],
])('%s', (spec, isolatesIngress, isolatesEgress) => {
  expect(policy(spec)).toMatchObject({ isolatesIngress, isolatesEgress });
});

/** A malformed policy isolates and allows nothing, also where some of its rules are sound. */
test.each([
  ['spec: {podSelector: {}, ingress: [{}, {from: [{}]}]}', true, false],
  ['spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 0}]}]}', false, true],
  ['spec: {podSelector: {}, policyTypes: [egress], ingress: [{}]}', true, true],
  ['spec: {podSelector: {}, egress: x, ingress: [{}]}', true, true],
  ['spec: {podSelector: {}, egress: [{ports: x}], ingress: [{}]}', true, true],
  ['spec: {podSelector: {}, polcyTypes: [Egress]}', true, true],
  ['spec: {podSelector: {}, ingress: [{}], ingress: [{}]}', true, false],
  ['spec: {podSelector: {}, policyTypes: [Egress], policyTypes: [Ingress]}', true, true],
  ['spec: {podSelector: {}, ingress: [{}]}\nstats: {}', true, false],
])('malformed: %s', (spec, isolatesIngress, isolatesEgress) => {
  expect(policy(spec)).toMatchObject({ isolatesIngress, isolatesEgress, ingress: [], egress: [] });
  expect(policy(spec)?.malformed).toBeDefined();
});

test('a malformed policy knows where its first mistake is, a sound one has none', () => {
  const spec = 'spec:\n  podSelector: {}\n  ingress:\n    - ports: [{port: 80}, {port: 0}]\n    - from: [{}]';
  expect(policy(spec)?.malformed).toEqual({ path: 'spec.ingress[0].ports[1].port', line: 7 });
  expect(policy('spec: {podSelector: {}}')).not.toHaveProperty('malformed');
});

test.each([
  'spec: {podSelector: {matchLabel: {a: b}}}',
  'spec: {podSelector: {matchLabels: {a: b, a: c}}}',
  'spec: {podSelector: {}, podSelector: {}}',
  'spec: []',
  'spec: {podSelecter: {}}',
  'sepc: {podSelector: {}}',
])('which pods are selected cannot be read: %s', (spec) => {
  expect(policy(spec)).toBeUndefined();
});

test.each(['spec: {}', 'spec:', ''])(
  'a selector that is missing selects all, as the API server has it, with a warning: %j',
  (spec) => {
    expect(policy(spec)).toMatchObject({
      podSelector: { matchLabels: {}, matchExpressions: [] },
      isolatesIngress: true,
    });
    const text = `apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n${spec}\n`;
    expect(messages(text)).toHaveLength(1);
    expect(messages(text)[0]).toContain('spec.podSelector: warning: missing, every pod of the namespace is selected');
  },
);

test('every kind of rule', () => {
  const found = policy(`spec:
  podSelector: {matchLabels: {app: db}, matchExpressions: [{key: tier, operator: NotIn, values: [a, b]}, {key: x, operator: Exists}]}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector: {}
        - namespaceSelector: {matchLabels: {team: a}}
        - {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}
        - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 192.168.0.0/16]}
        - ipBlock: {cidr: "FD00::1/16"}
      ports: [{port: 80}, {port: http, protocol: UDP}, {port: 1000, endPort: 2000, protocol: SCTP}, {protocol: TCP}, {}]
    - from: []
      ports: []
  egress:
    - {}
`);
  expect(found?.podSelector).toEqual({
    matchLabels: { app: 'db' },
    matchExpressions: [
      { key: 'tier', operator: 'NotIn', values: ['a', 'b'] },
      { key: 'x', operator: 'Exists', values: [] },
    ],
  });
  const all = { matchLabels: {}, matchExpressions: [] };
  const from = 'spec.ingress[0].from';
  const ports = 'spec.ingress[0].ports';
  expect(found?.ingress).toEqual([
    {
      path: 'spec.ingress[0]',
      peers: [
        { kind: 'pods', path: `${from}[0]`, podSelector: all },
        { kind: 'pods', path: `${from}[1]`, namespaceSelector: { ...all, matchLabels: { team: 'a' } } },
        {
          kind: 'pods',
          path: `${from}[2]`,
          namespaceSelector: all,
          podSelector: { ...all, matchLabels: { app: 'web' } },
        },
        {
          kind: 'ipBlock',
          path: `${from}[3]`,
          cidr: { family: 'ipv4', address: '0.0.0.0', prefixLength: 0 },
          except: [
            { family: 'ipv4', address: '10.0.0.0', prefixLength: 8 },
            { family: 'ipv4', address: '192.168.0.0', prefixLength: 16 },
          ],
        },
        {
          kind: 'ipBlock',
          path: `${from}[4]`,
          cidr: { family: 'ipv6', address: 'fd00::', prefixLength: 16 },
          except: [],
        },
      ],
      ports: [
        { kind: 'range', protocol: 'TCP', first: 80, last: 80, path: `${ports}[0]` },
        { kind: 'named', protocol: 'UDP', name: 'http', path: `${ports}[1]` },
        { kind: 'range', protocol: 'SCTP', first: 1000, last: 2000, path: `${ports}[2]` },
        { kind: 'any', protocol: 'TCP', path: `${ports}[3]` },
        { kind: 'any', protocol: 'TCP', path: `${ports}[4]` },
      ],
    },
    { path: 'spec.ingress[1]' },
  ]);
  expect(found?.egress).toEqual([{ path: 'spec.egress[0]' }]);
});
