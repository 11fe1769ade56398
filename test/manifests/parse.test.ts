import { expect, test } from 'vitest';
import { parseManifest } from '../../src/manifests/parse.ts';
import { identityOf } from '../../src/manifests/keys.ts';
import { messages, parse, withoutLocation } from './read.ts';

const pod = (name: string) => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n`;
const identities = (text: string) => parse(text).map(identityOf);

test.each([
  ['documents', `${pod('a')}---\n${pod('b')}`],
  ['a marker with a comment, an end marker, an empty document', `--- # one\n${pod('a')}...\n---\n---\n${pod('b')}`],
  ['directives', `%YAML 1.2\n---\n${pod('a')}---\n${pod('b')}`],
  ['a byte order mark', `\uFEFF${pod('a')}---\n${pod('b')}`],
  ['Windows line ends', `${pod('a')}---\n${pod('b')}`.replaceAll('\n', '\r\n')],
  [
    'a List',
    'apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b}}\n',
  ],
  ['a typed list', 'apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}, {metadata: {name: b}}]\n'],
  [
    'JSON',
    '{\n\t"apiVersion": "v1",\n\t"kind": "List",\n\t"items": [\n\t\t{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},\n\t\t{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}\n\t]\n}\n',
  ],
  [
    'aliases and merge keys',
    'apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {<<: *a, metadata: {name: b}}\n',
  ],
])('%s', (_what, text) => {
  expect(messages(text)).toEqual([]);
  expect(identities(text)).toEqual(['Pod default/a', 'Pod default/b']);
});

test('a marker inside of a block of text is no marker unless it starts the line', () => {
  const text = `apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    x: |\n      ---\n      b\n`;
  expect(identities(text)).toEqual(['Pod default/a']);
});

test('lines count through the whole file, and a policy knows the line of each of its fields', () => {
  const text = `${pod('a')}---
# a comment
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
spec:
  podSelector: {}
  ingress:
    - from:
        - podSelector: {}
        - ipBlock:
            cidr: 10.0.0.0/8
      ports:
        - port: 80
    - {}
`;
  const policy = parse(text)[1];
  expect(policy?.location?.file).toBe('a.yaml');
  expect(policy?.location?.line).toBe(7);
  const lines = policy?.location?.lines;
  const expected = {
    spec: 11,
    'spec.podSelector': 12,
    'spec.ingress': 13,
    'spec.ingress[0]': 14,
    'spec.ingress[0].from': 14,
    'spec.ingress[0].from[0]': 15,
    'spec.ingress[0].from[1]': 16,
    'spec.ingress[0].from[1].ipBlock.cidr': 17,
    'spec.ingress[0].ports[0]': 19,
    'spec.ingress[0].ports[0].port': 19,
    'spec.ingress[1]': 20,
  };
  for (const [path, line] of Object.entries(expected)) expect([path, lines?.get(path)]).toEqual([path, line]);
});

test('one bad document leaves the others', () => {
  expect(identities(`${pod('a')}---\nfoo: [\n---\n${pod('b')}`)).toEqual(['Pod default/a', 'Pod default/b']);
});

test('documents that did not change keep their objects when the file is read again', () => {
  const before = parseManifest(`${pod('a')}---\n${pod('b')}`, 'a.yaml');
  const after = parseManifest(`${pod('a')}---\n${pod('c')}`, 'a.yaml', before);
  expect(after.objects[0]).toBe(before.objects[0]);
  expect(after.objects.map(identityOf)).toEqual(['Pod default/a', 'Pod default/c']);
});

test('what a pod states of a running cluster is taken', () => {
  const text = `apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: shop
  uid: 1-2
  labels: {app: web, pod-template-hash: 8b47, empty: null}
  deletionTimestamp: "2026-01-01T00:00:00Z"
  annotations: {sluice.io/allowed-source-prefixes: "10.9.0.0/16, 10.8.0.1"}
  ownerReferences: [{kind: ReplicaSet, name: web-8b47}]
spec:
  nodeName: n1
  serviceAccountName: robot
  hostNetwork: true
  containers:
    - {name: a, ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]}
  initContainers:
    - {name: side, restartPolicy: Always, ports: [{containerPort: 9000, name: side}]}
    - {name: once, ports: [{containerPort: 9001, name: once}]}
status:
  phase: Running
  podIPs: [{ip: 10.0.0.1}, {ip: "FD00:0::1"}]
  conditions: [{type: Ready, status: "False"}]
`;
  expect(messages(text)).toEqual([]);
  expect(parse(text).map(withoutLocation)).toEqual([
    {
      kind: 'Pod',
      name: 'a',
      namespace: 'shop',
      uid: '1-2',
      labels: { app: 'web', 'pod-template-hash': '8b47', empty: '' },
      deployment: 'web',
      serviceAccount: 'robot',
      nodeName: 'n1',
      hostNetwork: true,
      ports: [
        { name: 'http', port: 80, protocol: 'TCP' },
        { port: 53, protocol: 'UDP' },
        { name: 'side', port: 9000, protocol: 'TCP' },
      ],
      allowedSources: [
        { family: 'ipv4', address: '10.9.0.0', prefixLength: 16 },
        { family: 'ipv4', address: '10.8.0.1', prefixLength: 32 },
      ],
      ips: { values: ['10.0.0.1', 'fd00::1'], whole: true },
      phase: 'Running',
      terminating: true,
      ready: false,
    },
  ]);
});

test.each([
  ['status: {}', 'Running', true],
  ['status: {phase: Pending}', 'Pending', false],
  ['status: {phase: Failed}', 'Failed', false],
  ['status: {phase: Running}', 'Running', true],
  ['status: {conditions: [{type: Ready, status: "True"}, {type: PodScheduled, status: "False"}]}', 'Running', true],
  ['status: {conditions: [{type: Ready, status: Unknown}]}', 'Running', false],
])('readiness by %s', (status, phase, ready) => {
  expect(parse(`${pod('a')}${status}\n`)[0]).toMatchObject({ phase, ready });
});
