/** Random cases: objects of every kind with a few fields gone wrong, and manifests of the tests with bytes gone wrong. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { parseAllDocuments, stringify } from 'yaml';
import { manifestTexts } from '../manifests/arbitrary.ts';
import type { FuzzCase } from './fuzz-case.ts';
import type { WatchBodies } from './watch-streams.ts';
import { allResources } from '../../src/kube/resources.ts';
import { editBytes, isMap, mutate, type ByteEdit, type Mutation, type Plain } from './mutate.ts';

const root = join(import.meta.dirname, '..', '..');

const quotes = ['a"b', "a'b", 'a\\', '"', "'", 'x" -j ACCEPT -m comment --comment "', "x' --jump ACCEPT '"];
const lineEnds = ['a\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT', 'a\r\nb', 'a\u2028b', 'a\u0085b', 'a\tb', 'a\0b', '\n'];
const options = [
  '-j ACCEPT',
  '--',
  '-',
  '!',
  '-A',
  '# x',
  '$(reboot)',
  '`id`',
  '%s%n',
  'x,y',
  'x;y',
  'a b',
  '=',
  '[0:0]',
];
const unusual = [
  'ü',
  '漢字',
  '\uD800',
  '\u202Eabc',
  '\uFEFFa',
  '',
  ' ',
  '_',
  '_'.repeat(20),
  '__proto__',
  'constructor',
];
const long = [63, 64, 253, 254, 300, 5000].map((length) => 'a'.repeat(length));

const hostileText = fc.oneof(
  fc.constantFrom(...quotes, ...lineEnds, ...options, ...unusual, ...long),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
);
const hostileAddress = fc.constantFrom(
  ...'0.0.0.0 255.255.255.255 127.0.0.1 224.0.0.1 010.0.0.1 10.0.0.1/33 1.2.3.4/0 0.0.0.0/0 ::/0 :: ::1 fe80::1%eth0'.split(
    ' ',
  ),
  ...'::ffff:1.2.3.4 ::ffff:0:0/96 ff02::1 1.2.3 1.2.3.4.5 10.88.1.1/31 2001:db8::/129 2001:DB8::1 0x0a.0.0.1 10.0.0.1,2'.split(
    ' ',
  ),
  '10.0.0.1\n10.0.0.2',
  '10.0.0.1 timeout 5',
  '10.88.0.0/16',
  '10.88.1.7',
);
const hostileNumber = fc.constantFrom(-1, 0, 1, 0.5, 65_535, 65_536, 2 ** 31, 2 ** 53, 1e21, Number.NaN, -0);
const hostileValue: fc.Arbitrary<Plain> = fc.oneof(
  { weight: 5, arbitrary: hostileText },
  { weight: 3, arbitrary: hostileAddress },
  { weight: 2, arbitrary: hostileNumber },
  { weight: 1, arbitrary: fc.constantFrom<Plain>(null, true, false, {}, [], [[]], { a: { b: [1] } }) },
);

const place = fc.nat({ max: 400 });
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('replace' as const), at: place, value: hostileValue }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), at: place }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      at: place,
      key: fc.oneof(hostileText, fc.constantFrom('app', 'port', 'name', 'sluice.io/allowed-source-prefixes')),
      value: hostileValue,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('move' as const), at: place, from: place }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('repeat' as const), at: place, times: fc.integer({ min: 2, max: 40 }) }),
  },
);

const files = globSync(['test/scenarios/*/manifests.yaml', 'examples/*/manifests/*.yaml'], { cwd: root }).toSorted();
const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
const someText = fc.constantFrom(...texts.values());

const randomObjects: fc.Arbitrary<readonly Plain[]> = manifestTexts.map((all) => all.flatMap(documentsOf));
/** Policies that mean something to the pods beside them. */
const scenarioObjects: fc.Arbitrary<readonly Plain[]> = fc
  .tuple(someText, fc.option(someText, { nil: '' }))
  .map((both) => both.flatMap(documentsOf));

const mutated: fc.Arbitrary<readonly Plain[]> = fc
  .tuple(
    fc.oneof({ weight: 1, arbitrary: randomObjects }, { weight: 2, arbitrary: scenarioObjects }),
    fc.array(fc.tuple(fc.nat({ max: 40 }), mutation), { maxLength: 4 }),
  )
  .filter(([objects]) => objects.length > 0)
  .map(([objects, mutations]) => {
    const documents = [...objects];
    for (const [which, one] of mutations) {
      const index = which % documents.length;
      documents[index] = mutate(documents[index], one);
    }
    return documents;
  });
const mutatedObjects = mutated.map((documents) =>
  documents.map((document) => stringify(document ?? null, { compat: 'yaml-1.1' })).join('---\n'),
);

function documentsOf(text: string): readonly Plain[] {
  return parseAllDocuments(text).map((document): Plain => document.toJS());
}

const byteEdit: fc.Arbitrary<ByteEdit> = fc.record({
  at: fc.nat({ max: 20_000 }),
  kind: fc.constantFrom('flip', 'insert', 'delete', 'copy'),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 12 }),
});
const mutatedBytes: fc.Arbitrary<string> = fc
  .tuple(someText, fc.array(byteEdit, { maxLength: 6 }))
  .map(([text, edits]) => editBytes(text, edits));

const settings = fc.record(
  {
    ipFamilies: fc.constantFrom(['ipv4', 'ipv6'], ['ipv4', 'ipv6'], ['ipv4'], ['ipv6']),
    podStart: fc.constantFrom('closed', 'open'),
    established: fc.constantFrom('cut', 'keep'),
    hostEgress: fc.constantFrom('policed', 'allowed'),
    hostEndpointAction: fc.constantFrom('return', 'drop'),
    interfacePrefixes: fc.constantFrom([], ['cali'], ['veth', 'cali']),
    serviceProxy: fc.constant(true),
    clusterCidrs: fc.constantFrom([], ['10.88.0.0/16'], ['10.88.0.0/16', 'fd00:10:88::/48']),
    nodePortAddresses: fc.constantFrom([], ['10.0.0.0/8', '::/0']),
    masqueradeAll: fc.boolean(),
    localTrafficDetector: fc.constantFrom('clusterCidr', 'nodeCidr', 'bridge', 'interfacePrefix', 'localPods', 'none'),
  },
  { requiredKeys: ['serviceProxy'] },
);

const eventType = fc.constantFrom('ADDED', 'ADDED', 'ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR', 'NEW');

/** What watches of these objects would send, some of them twice and with other types, with bytes gone wrong. */
const bodies: fc.Arbitrary<WatchBodies> = fc
  .tuple(
    fc.tuple(mutated, mutated).map(([first, second]) => [...first, ...second]),
    fc.array(eventType, { minLength: 1, maxLength: 40 }),
    fc.oneof(fc.constant([]), fc.array(byteEdit, { maxLength: 3 })),
  )
  .map(([objects, types, edits]) => {
    const lines = new Map<string, string[]>(allResources.map(({ path }) => [path, []]));
    for (const [index, object] of objects.entries()) {
      const type = types[index % types.length];
      lines.get(pathOf(object))?.push(`${JSON.stringify({ type, object: placed(object, index) })}\n`);
    }
    return Object.fromEntries([...lines].map(([path, own]) => [path, editBytes(own.join(''), edits)]));
  });

function pathOf(object: Plain): string {
  const kind = typeof object === 'object' && object !== null && 'kind' in object ? object.kind : undefined;
  return allResources.find((resource) => resource.kind === kind)?.path ?? '/api/v1/pods';
}

/** As the API server would have it: with an address, on the node at hand, and a version. */
function placed(object: Plain, index: number): Plain {
  const pod = {
    spec: { nodeName: 'n1' },
    status: { podIPs: [{ ip: `10.88.1.${(index % 200) + 2}` }], phase: 'Running' },
  };
  const extra = pathOf(object) === '/api/v1/pods' ? pod : {};
  const metadata = { metadata: { namespace: 'default', resourceVersion: String(index) } };
  return merged(merged(merged(metadata, extra), object), {});
}

/** What `over` states wins. */
function merged(under: Plain, over: Plain): Plain {
  if (!isMap(under) || !isMap(over)) return over === undefined ? under : over;
  const keys = new Set([...Object.keys(under), ...Object.keys(over)]);
  return Object.fromEntries([...keys].map((key) => [key, merged(under[key], over[key])]));
}

const ofTexts = fc.array(fc.oneof({ weight: 3, arbitrary: mutatedObjects }, { weight: 2, arbitrary: mutatedBytes }), {
  minLength: 1,
  maxLength: 2,
});
const chosen = { settings, isBridged: fc.boolean(), node: fc.constantFrom(0, 0, 0, 1) };

export const someCase: fc.Arbitrary<FuzzCase> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ texts: ofTexts, ...chosen }) },
  { weight: 1, arbitrary: fc.record({ texts: fc.constant([]), bodies, ...chosen }) },
);
