import { array, assert, constantFrom, oneof, option, property, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FileMerger, mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';

/** Few files and few names, so that they meet. */
const path = constantFrom('a.yaml', 'b/a.yaml', 'c.yaml');
const document = oneof(
  record({
    name: constantFrom('x', 'y'),
    namespace: constantFrom('one', 'two'),
    label: constantFrom('1', '2'),
  }).map(
    ({ name, namespace, label }) =>
      `{ apiVersion: v1, kind: Pod, metadata: { name: ${name}, namespace: ${namespace}, labels: { l: "${label}" } }, spec: { containers: [] } }`,
  ),
  constantFrom('x', 'y').map((name) => `{ apiVersion: v1, kind: Namespace, metadata: { name: ${name} } }`),
  constantFrom('x', 'y').map((name) => `{ apiVersion: v1, kind: Service, metadata: { name: ${name} }, spec: [] }`),
);
const change = record({ path, documents: option(array(document, { maxLength: 3 }), { nil: undefined }) });

function parsed(file: string, documents: readonly string[]) {
  return parseManifest(documents.join('\n---\n'), file);
}

describe('files that are followed', () => {
  test('any history of files comes to what the last files come to from scratch', () => {
    assert(
      property(array(change, { maxLength: 12 }), (changes) => {
        const merger = new FileMerger();
        const files = new Map<string, ReturnType<typeof parsed>>();
        for (const { path: file, documents } of changes) {
          const content = documents === undefined ? undefined : parsed(file, documents);
          merger.set(file, content);
          if (content === undefined) files.delete(file);
          else files.set(file, content);
        }
        const { objects, diagnostics } = mergeFiles(files);
        const { namedNamespaces, ...lists } = merger.byKind;
        expect(Object.values(lists).flat()).toEqual(objects);
        expect(merger.diagnostics).toEqual(diagnostics);
        const named = new Set(objects.flatMap((object) => ('namespace' in object ? [object.namespace] : [])));
        expect(namedNamespaces).toEqual([...named].toSorted());
      }),
    );
  });

  test('the list of a kind of which nothing changed stays the very same array', () => {
    const merger = new FileMerger();
    merger.set('pods.yaml', parsed('pods.yaml', ['{ apiVersion: v1, kind: Pod, metadata: { name: a }, spec: {} }']));
    const before = merger.byKind;
    merger.set('more.yaml', parsed('more.yaml', ['{ apiVersion: v1, kind: Namespace, metadata: { name: a } }']));
    expect(merger.byKind.pods).toBe(before.pods);
    expect(merger.byKind.namespaces).not.toBe(before.namespaces);
    expect(merger.byKind.namespaces.map(({ name }) => name)).toEqual(['a']);
  });

  test('of an object that stands twice the first by path counts, also when that file comes last', () => {
    const merger = new FileMerger();
    const pod = (label: string) => [
      `{ apiVersion: v1, kind: Pod, metadata: { name: a, labels: { l: "${label}" } }, spec: {} }`,
    ];
    merger.set('z.yaml', parsed('z.yaml', pod('z')));
    merger.set('a.yaml', parsed('a.yaml', pod('a')));
    expect(merger.byKind.pods.map(({ labels }) => labels)).toEqual([{ l: 'a' }]);
    expect(merger.diagnostics.map(({ message }) => message)).toEqual([
      'Pod default/a stands at a.yaml:1 already, expected once; this one is left out',
    ]);
    merger.set('a.yaml', undefined);
    expect(merger.byKind.pods.map(({ labels }) => labels)).toEqual([{ l: 'z' }]);
    expect(merger.diagnostics).toEqual([]);
  });
});
