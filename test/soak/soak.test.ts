/** The soak itself: its changes depend on the seed alone, and it finds what it is there to find. */
import { expect, test } from 'vitest';
import { parseManifest } from '../../src/manifests/parse.ts';
import type { AgentSample } from './agents.ts';
import { Churn } from './churn.ts';
import { fixedManifests, markerText } from './fixed-cluster.ts';
import { judgeSamples } from './judge-soak.ts';
import type { SoakResult } from './soak.ts';

test('the same changes for the same seed, of every kind, and never more objects than a small lab can hold', () => {
  const [first, second, other] = [new Churn(1), new Churn(1), new Churn(2)];
  const changes = Array.from({ length: 3000 }, () => first.next());
  expect(Array.from({ length: 3000 }, () => second.next())).toEqual(changes);
  expect(Array.from({ length: 3000 }, () => other.next())).not.toEqual(changes);
  expect(first.size).toBeLessThanOrEqual(84);
  for (const kind of ['pod', 'policy', 'service']) {
    const ofKind = changes.filter(({ file }) => file.startsWith(`${kind}-`));
    expect(ofKind.some(({ text }) => text === undefined)).toBe(true);
    expect(new Set(ofKind.map(({ file }) => file)).size).toBeGreaterThan(20);
  }
});

test('every manifest of it is right', () => {
  const churn = new Churn(3);
  const texts = Array.from({ length: 500 }, () => churn.next().text ?? '');
  for (const text of [...texts, fixedManifests, markerText(true, 1)]) {
    expect(parseManifest(text, 'a.yaml').diagnostics).toEqual([]);
  }
});

/** 60 samples; `shape` by the index of the sample. */
function resultOf(shape: (index: number) => Partial<AgentSample>, changes: Partial<SoakResult> = {}): SoakResult {
  const samples = Array.from({ length: 60 }, (_, index) => ({
    minute: index,
    markerMs: [100],
    agents: [
      {
        node: 'node-a',
        pid: 7,
        residentMb: 150,
        heapMb: 50,
        cpuSeconds: index,
        failures: 0,
        driftRepairs: 0,
        buckets: new Map([
          [0.01, index * 10],
          [1, index * 10],
        ]),
        latencySum: index * 0.05,
        latencyCount: index * 10,
        ...shape(index),
      },
    ],
  }));
  const flows = {
    allowed: { tried: 100, failed: 0, slow: 0, worstMs: 5 },
    denied: { tried: 100, passed: 0 },
  };
  return { samples, flows, flowProblems: [], changes: 1000, wantedChanges: 1000, ...changes };
}

function failuresOf(result: SoakResult): readonly string[] {
  return judgeSamples(result).flatMap(({ what, problem }) => (problem === undefined ? [] : [what]));
}

test('a good run', () => {
  expect(failuresOf(resultOf(() => ({})))).toEqual([]);
  // Young objects come and go, and the first minutes fill caches.
  expect(
    failuresOf(resultOf((index) => ({ heapMb: 50 + (index % 5) * 10, residentMb: Math.min(150, 90 + index * 5) }))),
  ).toEqual([]);
});

test.each<[string, SoakResult, RegExp]>([
  ['a heap that grows', resultOf((index) => ({ heapMb: 50 + index / 3 })), /heap/],
  ['a resident set that grows', resultOf((index) => ({ residentMb: 150 + index })), /resident/],
  ['updates that get slower', resultOf((index) => ({ latencySum: index ** 3 / 1000 })), /change to kernel/],
  ['an agent that was started again', resultOf((index) => ({ pid: index < 30 ? 7 : 8 })), /the same agents/],
  ['updates that failed', resultOf(() => ({ failures: 1 })), /1 failed/],
  ['rules that were found changed', resultOf(() => ({ driftRepairs: 1 })), /1 repairs/],
  ['too few changes', resultOf(() => ({}), { changes: 500 }), /500 of 1000/],
  [
    'a denied flow that passed',
    resultOf(() => ({}), { flows: { ...resultOf(() => ({})).flows, denied: { tried: 9, passed: 1 } } }),
    /1 let through/,
  ],
  [
    'nothing that was tried',
    resultOf(() => ({}), { flows: { ...resultOf(() => ({})).flows, denied: { tried: 0, passed: 0 } } }),
    /0 denied/,
  ],
])('%s is found', (_what, result, expected) => {
  const failures = failuresOf(result);
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatch(expected);
});
