import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseManifest } from '../../src/manifests/parse.ts';

/** Whatever stands in a file: no exception, and every message names a line of it. */
function check(text: string): void {
  const { objects, diagnostics } = parseManifest(text, 'a.yaml');
  const lines = text.split('\n').length;
  for (const { line, message } of diagnostics) {
    expect(message).not.toContain('\n');
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines);
  }
  for (const object of objects) expect(object.name).not.toBe('');
}

const marks = [
  '---\n',
  '...\n',
  '- ',
  ': ',
  '{',
  '}',
  '[',
  ']',
  '&a ',
  '*a',
  '<<: ',
  '|\n',
  '>-\n',
  '"',
  "'",
  '#',
  '%',
];
const spaces = ['\t', '\n', '  ', '? ', '!!', '\u0000', '\uFEFF', '~', '080', '1e9', 'null'];
const names = 'apiVersion v1 networking.k8s.io/v1 kind Pod NetworkPolicy metadata name spec items List'.split(' ');
const yamlTokens = fc.constantFrom(...marks, ...spaces, ...names);

test('any text', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), check), { numRuns: 500 });
});

test('any heap of YAML tokens', () => {
  fc.assert(
    fc.property(
      fc.array(yamlTokens, { maxLength: 60 }).map((parts) => parts.join('')),
      check,
    ),
    { numRuns: 1000 },
  );
});

const words = fc.constantFrom(
  ...`podSelector matchLabels matchExpressions ingress egress from to ports port endPort protocol ipBlock cidr except
  policyTypes Ingress containers containerPort hostNetwork status podIPs ip clusterIP None type NodePort selector
  addressType IPv4 endpoints addresses conditions template replicas 10.0.0.0/8 10.0.0.1 TCP key operator In values
  cidrs __proto__ constructor`.split(/\s+/),
);
const { body } = fc.letrec((tie) => ({
  body: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(words, fc.integer(), fc.boolean(), fc.constant(null), fc.double()),
    fc.array(tie('body'), { maxLength: 3 }),
    fc.dictionary(words, tie('body'), { maxKeys: 5 }),
  ),
}));
const kinds = fc.constantFrom(
  'v1 Namespace',
  'v1 Node',
  'v1 Pod',
  'v1 Service',
  'apps/v1 Deployment',
  'v1 List',
  'v1 PodList',
  'discovery.k8s.io/v1 EndpointSlice',
  'networking.k8s.io/v1 NetworkPolicy',
  'networking.k8s.io/v1 ServiceCIDR',
  'extensions/v1beta1 NetworkPolicy',
);

test('any fields in objects of every kind', () => {
  const object = fc.record(
    {
      kind: kinds,
      metadata: fc.oneof(fc.constant({ name: 'a' }), body),
      spec: body,
      status: body,
      items: body,
      addressType: body,
      endpoints: body,
    },
    { requiredKeys: ['kind', 'metadata'] },
  );
  fc.assert(
    fc.property(object, ({ kind, ...rest }) => {
      const [apiVersion = '', name = ''] = kind.split(' ');
      check(stringify({ apiVersion, kind: name, ...rest }));
    }),
    { numRuns: 1500 },
  );
});

test.each([
  ['deep nesting', '['.repeat(20_000)],
  ['deep blocks', Array.from({ length: 3000 }, (_, depth) => `${' '.repeat(depth)}a:\n`).join('')],
  ['an alias of itself', 'a: &a [*a]'],
  [
    'aliases that grow without end',
    `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 12 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]\n`).join('')}`,
  ],
])('%s is refused with one message', (_what, text) => {
  const { diagnostics, objects } = parseManifest(text, 'a.yaml');
  expect(objects).toEqual([]);
  expect(diagnostics).toHaveLength(1);
  expect(diagnostics[0]?.message).toMatch(/^not YAML: .*; nothing of this document is read$/);
});
