/** What can be said of the chart without Helm; e2e/chart says the rest. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { chartReadme, rowsOf } from '../../scripts/chart-readme.ts';
import { chartValues } from '../../scripts/chart-schema.ts';
import { allResources } from '../../src/kube/resources.ts';
import { collectProcessMetrics, createMetrics } from '../../src/telemetry/metrics.ts';
import { sluiceVersion } from '../../src/telemetry/version.ts';

const chart = join(import.meta.dirname, '..', '..', 'charts', 'sluice');
const read = (...path: readonly string[]): string => readFileSync(join(chart, ...path), 'utf8');

test('the defaults are what the schema wants', () => {
  expect(chartValues.safeParse(parse(read('values.yaml'))).error).toBeUndefined();
});

test.each([
  ['an unknown key', { bogus: 1 }],
  ['an unknown setting', { config: { bogus: 1 } }],
  ["a setting that is the pod's own", { config: { nodeName: 'worker' } }],
  ['a surge', { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 1 } } }],
])('%s is refused', (_name, change) => {
  const values = chartValues.parse(parse(read('values.yaml')));
  expect(chartValues.safeParse({ ...values, ...change }).success).toBe(false);
});

test('chart and program have one version', () => {
  expect(parse(read('Chart.yaml'))).toMatchObject({ version: sluiceVersion(), appVersion: sluiceVersion() });
});

test('the agent may follow what it follows, and nothing else', () => {
  const granted = [
    ...read('templates', 'rbac.yaml').matchAll(
      /apiGroups: \["?([\w.]*)"?\]\n\s+resources: \[(.*)\]\n\s+verbs: \[get, list, watch\]/g,
    ),
  ];
  const names = granted.flatMap(([, group = '', plurals = '']) =>
    plurals.split(', ').map((plural) => `${group}/${plural}`),
  );
  expect(names.sort()).toEqual(allResources.map(({ group, plural }) => `${group}/${plural}`).sort());
});

test.each(['alerts.yaml', 'dashboard.json'])('%s asks for metrics that there are', async (file) => {
  const { registry } = createMetrics();
  collectProcessMetrics(registry);
  const known = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  const asked = [...read('files', file).matchAll(/\b(?:sluice|process)_\w+/g)].map(([name]) =>
    name.replace(/_bucket$/, ''),
  );
  expect(asked.length).toBeGreaterThan(5);
  expect([...new Set(asked)].filter((name) => !known.includes(name))).toEqual([]);
});

test('every metric of ours is in the docs, and but for a few on the dashboard or in an alert', async () => {
  const names = (await createMetrics().registry.getMetricsAsJSON()).map(({ name }) => name);
  const docs = readFileSync(join(chart, '..', '..', 'docs', 'metrics.md'), 'utf8');
  for (const name of names) expect(docs).toContain(`| \`${name}\` |`);
  const shown = read('files', 'alerts.yaml') + read('files', 'dashboard.json');
  const seldom = ['sluice_chains', 'sluice_kube_lists_total', 'sluice_kube_events_total'];
  expect(names.filter((name) => !shown.includes(name))).toEqual(seldom);
});

test('the table of values is made from the comments', () => {
  const text = '# A section.\none:\n  # First.\n  a: 1\n  # Second | with a bar.\n  b: [x]\n\n# Whole.\ntwo: {c: 1}\n';
  expect(rowsOf(text)).toEqual([
    { key: 'one.a', value: 1, meaning: 'First.' },
    { key: 'one.b', value: ['x'], meaning: 'Second | with a bar.' },
    { key: 'two', value: { c: 1 }, meaning: 'Whole.' },
  ]);
  expect(() => rowsOf('# One.\na: 1\nb: 2\n')).toThrow('b has no comment');
  expect(chartReadme()).toContain('| `apiServer.host` |');
});
