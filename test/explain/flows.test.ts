import { expect, test } from 'vitest';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { parseFlows } from '../../src/explain/flow-file.ts';
import { checkFlows } from '../../src/explain/flows.ts';
import { junitXml } from '../../src/explain/junit.ts';
import { clusterOf } from './cluster-fixture.ts';
import { seedCluster } from './seed-cluster.ts';

const model = clusterOf(seedCluster);

function check(text: string) {
  const { flows, diagnostics } = parseFlows(text, 'flows.yaml');
  expect(diagnostics.map(formatDiagnostic)).toEqual([]);
  return checkFlows(model, flows);
}

test('flows of the seed', () => {
  const results = check(`
- { from: frontend, to: "db:80", expect: denied, why: only the backend may reach db }
- { from: backend, to: "db:http", expect: allowed }
- { from: frontend, to: "svc/default/backend:80", expect: allowed, dnat: "backend:80", source: frontend }
- { from: node/minikube, to: "svc/default/backend:80", expect: allowed, source: node/minikube }
- { from: outside, to: "frontend:80", expect: allowed, source: outside }
`);
  expect(results.map(({ number, passed, reason }) => [number, passed, reason])).toEqual([
    [1, true, ''],
    [2, true, ''],
    [3, true, ''],
    [4, true, ''],
    [5, true, ''],
  ]);
});

test.each([
  [
    '{ from: frontend, to: "db:80", expect: allowed }',
    'expected allowed, is denied: dropped on node minikube: none of the policies that isolate the pod allows the packet: default/allow-db-access',
  ],
  [
    '{ from: backend, to: "db:80", expect: denied }',
    'expected denied, is allowed: delivered to pod default/db-8d66ff5f7-bp6kf at 10.88.0.26:80, which sees the client as 10.88.0.27',
  ],
  [
    '{ from: frontend, to: "svc/default/backend:80", expect: allowed, dnat: "db:80" }',
    'expected to reach db:80, goes to 10.88.0.27:80 (default/backend-867fd6dff-mjf92)',
  ],
  [
    '{ from: frontend, to: "svc/default/backend:80", expect: allowed, dnat: ["db:80", "backend:81"] }',
    'expected to reach db:80 or backend:81, goes to 10.88.0.27:80 (default/backend-867fd6dff-mjf92)',
  ],
  [
    '{ from: frontend, to: "backend:80", expect: allowed, source: node/minikube }',
    'expected the server to see node/minikube, it sees 10.88.0.24 (default/frontend-8b474f47-zdqdv)',
  ],
  [
    '{ from: frontent, to: "db:80", expect: denied }',
    'no pod and no Deployment is called default/frontent; did you mean default/frontend?',
  ],
  [
    '{ from: frontend, to: "db:80", expect: denied, dnat: "dbb:80" }',
    'dnat: no pod and no Deployment is called default/dbb; did you mean default/db?',
  ],
])('%s fails', (flow, reason) => {
  expect(check(`- ${flow}`)).toMatchObject([{ passed: false, reason }]);
});

test.each([
  ['from: a', 'flows.yaml:1: expected a list of flows: - {from, to, expect}'],
  [
    '- a\n- [b]',
    'flows.yaml:1: [0]: expected a flow: {from, to, expect}\nflows.yaml:2: [1]: expected a flow: {from, to, expect}',
  ],
  ['\n- { from: a, expect: allowed }', 'flows.yaml:2: [0].to: expected a string'],
  ['- { from: a, to: "b:1", expect: maybe }', 'flows.yaml:1: [0].expect: expected allowed or denied'],
  [
    '- { from: a, to: "b:1", expect: denied, port: 1 }',
    'flows.yaml:1: [0]: unknown key port: expected from, to, expect, dnat, source, why',
  ],
])('%s is refused with its place', (text, expected) => {
  expect(parseFlows(text, 'flows.yaml').diagnostics.map(formatDiagnostic).join('\n')).toBe(expected);
});

test('a file that is no YAML is refused with its line; an empty one has no flows', () => {
  const [first] = parseFlows('- { from: a', 'flows.yaml').diagnostics;
  expect(first).toMatchObject({ severity: 'error', file: 'flows.yaml', line: 1 });
  expect(parseFlows('', 'flows.yaml')).toEqual({ flows: [], diagnostics: [] });
});

test('a flow that could not be read leaves the others', () => {
  const { flows, diagnostics } = parseFlows('- { from: a }\n- { from: a, to: "b:1", expect: denied }', 'flows.yaml');
  expect(flows).toEqual([{ from: 'a', to: 'b:1', expect: 'denied', line: 2 }]);
  expect(diagnostics).not.toEqual([]);
});

test('JUnit', () => {
  const results = check(`
- { from: frontend, to: "db:80", expect: denied, why: 'only "a" & <b>' }
- { from: backend, to: "db:80", expect: denied }
`);
  expect(junitXml('demo/flows.yaml', results)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sluice" tests="2" failures="1">
  <testsuite name="demo/flows.yaml" tests="2" failures="1">
    <testcase name="1. frontend -&gt; db:80 denied (only &quot;a&quot; &amp; &lt;b&gt;)" classname="demo/flows.yaml" file="demo/flows.yaml" line="2"/>
    <testcase name="2. backend -&gt; db:80 denied" classname="demo/flows.yaml" file="demo/flows.yaml" line="3">
      <failure message="expected denied, is allowed: delivered to pod default/db-8d66ff5f7-bp6kf at 10.88.0.26:80, which sees the client as 10.88.0.27"/>
    </testcase>
  </testsuite>
</testsuites>
`);
});
