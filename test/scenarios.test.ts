/** Every scenario's text is what it was, and every flow's verdict is the evaluator's and the tracer's. Real packets: test/kernel/scenarios.test.ts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ClusterModel } from '../src/explain/cluster-model.ts';
import { modelOf } from '../src/explain/compile-node.ts';
import { investigate } from '../src/explain/investigate.ts';
import { parseQuestion, type Question } from '../src/explain/question.ts';
import { judgeQuestion } from './evaluator/judge-question.ts';
import { mistakesOf } from './kernel/scenario-flows.ts';
import { goldenTexts, loadScenario, scenarioNames, scenariosFolder } from './scenario.ts';

test('there are scenarios and flows enough to mean something', async () => {
  const flows = (await Promise.all(scenarioNames.map(loadScenario))).flatMap((scenario) => scenario.flows);
  expect(scenarioNames.length).toBeGreaterThanOrEqual(40);
  expect(flows.length).toBeGreaterThanOrEqual(400);
  expect(flows.filter((flow) => flow.expect === 'denied').length).toBeGreaterThanOrEqual(100);
});

test('docs/conformance.md names every scenario, and none that is not there', () => {
  const whole = readFileSync(join(scenariosFolder, '..', '..', 'docs', 'conformance.md'), 'utf8');
  // The chapters about Services have tables of their own (test/service/conformance.test.ts).
  const [text = ''] = whole.split(/^## Services/m);
  const lastCells = text.split('\n').flatMap((line) => (line.startsWith('|') ? [line.split('|').at(-2) ?? ''] : []));
  const named = new Set(lastCells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)));
  expect([...named].toSorted()).toEqual(scenarioNames);
});

describe.each(scenarioNames)('%s', async (name) => {
  const { state, options, flows, diagnostics, policies } = await loadScenario(name);
  const model = modelOf({ state, optionsOf: (nodeName) => ({ ...options, nodeName }) });

  test('renders its golden text', () => {
    for (const [file, text] of Object.entries(goldenTexts({ state, options }))) {
      expect(text, file).toBe(readFileSync(join(scenariosFolder, name, file), 'utf8'));
    }
  });

  test('has mistakes only where it is about them', () => {
    const errors = diagnostics.filter(({ severity }) => severity === 'error').map(({ object }) => object);
    expect(errors).toEqual(name === 'malformed-policy' ? ['NetworkPolicy malformed/bad'] : []);
  });

  test('the evaluator knows every policy that there is', () => {
    const named = policies.map((policy) => `${policy.namespace}/${policy.name}`);
    expect(named.toSorted()).toEqual([...state.networkPolicies.keys()].toSorted());
  });

  test.each(flows)('$from -> $to is $expect', ({ from, to, expect: expected }) => {
    const question = ask(model, from, to);
    expect(judgeQuestion({ state, policies }, question), 'evaluator').toBe(expected);
    expect(investigate(model, question).verdict, 'tracer').toBe(expected);
  });
});

test('a packet without a result is a mistake, a flow that has none to send is not', () => {
  const flow = { from: 'a/b', to: 'a/c:80', expect: 'allowed' } as const;
  const judged = { scenario: 'x', flow, evaluator: 'allowed', tracer: 'allowed' } as const;
  const packet = { from: 'a/b', to: '10.0.0.1', port: 80, protocol: 'TCP' } as const;
  const passed = { verdict: 'allowed', detail: '' } as const;
  const none = undefined;
  expect(mistakesOf({ ...judged, skipped: 'why', open: none, policed: none })).toEqual([]);
  expect(mistakesOf({ ...judged, packet, open: passed, policed: passed })).toEqual([]);
  expect(mistakesOf({ ...judged, packet, open: none, policed: none, removed: none })).toEqual([
    'a/b -> a/c:80: packet without policies: no result, expected allowed',
    'a/b -> a/c:80: packet: no result, expected allowed',
    'a/b -> a/c:80: packet after the policies were removed: no result, expected allowed',
  ]);
});

function ask(model: ClusterModel, from: string, to: string): Question {
  const parsed = parseQuestion(from, to, { state: model.state });
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.value;
}
