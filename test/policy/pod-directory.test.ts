import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Namespace, Pod } from '../../src/cluster/objects.ts';
import { keyOf } from '../../src/cluster/objects.ts';
import { matchesSelector } from '../../src/cluster/selector.ts';
import { namespaceLabels, PodDirectory } from '../../src/policy/pod-directory.ts';
import type { NamespaceScope, PodSelection } from '../../src/policy/set-spec.ts';
import { crowd, someLabels, someSelector } from './arbitrary.ts';
import { namespace, pod } from './objects.ts';

/** What every pod and namespace looks like, without any index. */
interface Truth {
  readonly pods: Map<string, Pod>;
  readonly namespaces: Map<string, Namespace>;
}

const crowdPods = crowd.flatMap((change) =>
  change.type === 'set' && change.object.kind === 'Pod' ? [change.object] : [],
);
const somebody = fc.constantFrom(...crowdPods.map(keyOf));
const somewhere = fc.constantFrom('x', 'y', 'z', 'w');

type Step = (directory: PodDirectory, truth: Truth) => void;

const relabelPod: fc.Arbitrary<Step> = fc.tuple(somebody, someLabels).map(([key, own]) => (directory, truth) => {
  const changed = pod(key, { labels: own, ips: ['10.0.0.1'] });
  directory.setPod(key, changed);
  truth.pods.set(key, changed);
});
const deletePod: fc.Arbitrary<Step> = somebody.map((key) => (directory, truth) => {
  directory.setPod(key, undefined);
  truth.pods.delete(key);
});
const relabelNamespace: fc.Arbitrary<Step> = fc
  .tuple(somewhere, someLabels)
  .map(([name, own]) => (directory, truth) => {
    const changed = namespace(name, own);
    directory.setNamespace(name, changed);
    truth.namespaces.set(name, changed);
  });
const deleteNamespace: fc.Arbitrary<Step> = somewhere.map((name) => (directory, truth) => {
  directory.setNamespace(name, undefined);
  truth.namespaces.delete(name);
});

const someScope: fc.Arbitrary<NamespaceScope> = fc.oneof(
  fc.constant({ kind: 'all' } as const),
  somewhere.map((name) => ({ kind: 'one' as const, name })),
  someSelector.map((selector) => ({ kind: 'selected' as const, selector, text: '' })),
);
const someSelection: fc.Arbitrary<PodSelection> = fc.record({
  namespaces: someScope,
  pods: someSelector,
  text: fc.constant(''),
});

function isIn(scope: NamespaceScope, name: string, truth: Truth): boolean {
  if (scope.kind === 'all') return true;
  if (scope.kind === 'one') return scope.name === name;
  return matchesSelector(scope.selector, namespaceLabels(name, truth.namespaces.get(name)));
}

test('matching finds what looking at every pod finds, after any changes between questions', () => {
  const steps = fc.array(fc.oneof(relabelPod, deletePod, relabelNamespace, deleteNamespace), { maxLength: 20 });
  const questions = fc.array(someSelection, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(questions, steps, fc.constantFrom(0, 3, 30, 1000), (selections, changes, scanLimit) => {
      const directory = new PodDirectory(scanLimit);
      const truth: Truth = { pods: new Map(), namespaces: new Map() };
      for (const present of crowdPods) {
        directory.setPod(keyOf(present), present);
        truth.pods.set(keyOf(present), present);
      }
      const ask = (selection: PodSelection): readonly string[] => [...directory.matching(selection)].map(keyOf).sort();
      // Asked once before the changes, so that the indexes exist and must be kept up.
      for (const selection of selections) ask(selection);
      for (const change of changes) change(directory, truth);
      for (const selection of selections) {
        const expected = [...truth.pods.values()].filter(
          (own) => isIn(selection.namespaces, own.namespace, truth) && matchesSelector(selection.pods, own.labels),
        );
        expect(ask(selection)).toEqual(expected.map(keyOf).sort());
      }
    }),
    { numRuns: 300 },
  );
}, 120_000);
