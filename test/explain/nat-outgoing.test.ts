/** What explain says of a pod that speaks to somebody outside the cluster, with natOutgoing. */
import { expect, test } from 'vitest';
import { modelOf } from '../../src/explain/compile-node.ts';
import { explain } from '../../src/explain/explain.ts';
import { investigate } from '../../src/explain/investigate.ts';
import { parseQuestion } from '../../src/explain/question.ts';
import { renderExplanation } from '../../src/explain/render-text.ts';
import { cidr } from '../addresses.ts';
import { nodeObject, nodeOptions } from '../compile/node.ts';
import { storeOf } from '../compile/seed-cluster.ts';
import { namespace, pod } from '../policy/objects.ts';

const client = pod('a/client', { ips: ['10.9.0.10'], node: 'node-a' });

function ask(natOutgoing: boolean, to: string) {
  const state = storeOf([namespace('a'), nodeObject, client]);
  const options = natOutgoing ? { ...nodeOptions, natOutgoing: [cidr('10.9.0.0/16')] } : nodeOptions;
  const model = modelOf({ state, optionsOf: (nodeName) => ({ ...options, nodeName }) });
  const question = parseQuestion('a/client', to, { state });
  if (!question.ok) throw new Error(question.message);
  return { model, question: question.value };
}

test('the rule that hides the pod, and whom the other side sees', () => {
  const { model, question } = ask(true, '203.0.113.9:80');
  const text = renderExplanation(model, investigate(model, question));
  expect(text).toContain('POSTROUTING, table nat');
  expect(text).toMatch(
    /cali-nat-outgoing 1 +MASQUERADE +natOutgoing: outside the cluster the pod has its node's address: source is now 192\.0\.2\.1/,
  );
  expect(text).toMatch(/ALLOWED: leaves the cluster for 203\.0\.113\.9:80, which sees the client as 192\.0\.2\.1/);
  const steps = explain(model, question).branches[0]?.steps ?? [];
  expect(steps.filter(({ action }) => action === 'MASQUERADE')).toEqual([
    expect.objectContaining({ table: 'nat', chain: 'cali-nat-outgoing', hash: 'flqWnvo8yq4ULQLa' }),
  ]);
});

test('without it the other side sees the pod', () => {
  const { model, question } = ask(false, '203.0.113.9:80');
  const text = renderExplanation(model, investigate(model, question));
  expect(text).not.toContain('MASQUERADE');
  expect(text).toContain('which sees the client as 10.9.0.10');
});
