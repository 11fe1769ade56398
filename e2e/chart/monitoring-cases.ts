/** What the chart has for monitoring, read by Prometheus's own parser and by the operator's own types. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { CommandError, run } from '../../src/backends/exec.ts';
import { binary, buildAll } from '../build/build.ts';
import type { ChartCase, ChartTools } from './chart-case.ts';
import { chartDirectory } from './chart-case.ts';

const values = [
  'podMonitor.enabled=true',
  'podMonitor.labels.a=b',
  'prometheusRule.enabled=true',
  'dashboard.enabled=true',
];

const Target = z.object({ expr: z.string() });
const Dashboard = z.object({
  panels: z.array(z.object({ targets: z.array(Target).optional() })).nonempty(),
  templating: z.object({ list: z.array(z.object({ type: z.string(), query: z.string() })) }),
});
const ConfigMap = z.object({ data: z.record(z.string(), z.string()) });
const Named = z.object({ kind: z.string() });

export const monitoringCases: readonly ChartCase[] = [
  {
    name: 'alert rules: by Prometheus itself, for metrics that are in docs/metrics.md',
    check: async (tools) => expectKnown(await read(tools, 'PrometheusRule', await objectOf(tools, 'PrometheusRule'))),
  },
  {
    name: 'the dashboard: every expression by Prometheus itself, for metrics that are in docs/metrics.md',
    check: async (tools) => expectKnown(await read(tools, 'expressions', (await expressions(tools)).join('\n'))),
  },
  {
    name: 'the PodMonitor: no field that the operator does not know',
    check: async (tools) => void (await read(tools, 'PodMonitor', await objectOf(tools, 'PodMonitor'))),
  },
  {
    name: 'whoever reads them finds a broken expression, template, duration and field',
    check: async (tools) => {
      const [rules, monitor] = [await objectOf(tools, 'PrometheusRule'), await objectOf(tools, 'PodMonitor')];
      await expectRefusal(tools, 'PrometheusRule', broken(rules, 'sluice_part_ready == 0', 'sluice_part_ready == '));
      await expectRefusal(tools, 'PrometheusRule', broken(rules, '{{ $labels.node }}', '{{ $label.node }}'));
      await expectRefusal(tools, 'PrometheusRule', broken(rules, 'for: 5m', 'for: 5 minutes'));
      await expectRefusal(tools, 'PrometheusRule', broken(rules, 'annotations:', 'annotation:'));
      await expectRefusal(tools, 'PodMonitor', broken(monitor, 'targetLabel:', 'targetlable:'));
      await expectRefusal(tools, 'expressions', broken((await expressions(tools)).join('\n'), 'sum by (', 'sum by '));
    },
  },
];

/** Names of the metrics that are asked for, as the parser has them. */
async function read({ progress }: ChartTools, what: string, input: string): Promise<readonly string[]> {
  await buildAll(['promcheck'], progress);
  const { stdout } = await run([binary('promcheck'), what], { input, timeoutMs: 60_000 });
  return stdout.split('\n').filter((line) => line !== '');
}

async function objectOf({ render }: ChartTools, kind: string): Promise<string> {
  const documents = parseAllDocuments(await render(values));
  const found = documents.filter((document) => Named.safeParse(document.toJS()).data?.kind === kind);
  if (found.length !== 1) throw new Error(`expected one ${kind}, got ${found.length}`);
  return String(found[0]);
}

/** Of the dashboard as the chart puts it into a ConfigMap; Grafana's own variables stand for what it puts in. */
async function expressions(tools: ChartTools): Promise<readonly string[]> {
  const documents = parseAllDocuments(await tools.render(values)).map(
    (document) => ConfigMap.safeParse(document.toJS()).data,
  );
  const text = documents.flatMap((map) => map?.data['sluice.json'] ?? [])[0] ?? '';
  const { panels, templating } = Dashboard.parse(JSON.parse(text));
  const asked = templating.list.flatMap(({ query }) => /^label_values\((.*), \w+\)$/.exec(query)?.[1] ?? []);
  const all = [...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)), ...asked];
  return all.map((expression) => expression.replaceAll('$__rate_interval', '5m'));
}

function expectKnown(names: readonly string[]): void {
  const documented = readFileSync(join(chartDirectory, '..', '..', 'docs', 'metrics.md'), 'utf8');
  // Every target has `up`, a Node process its own; a histogram's series end in other words.
  const unknown = names.filter(
    (name) =>
      !/^(?:up$|process_|nodejs_)/.test(name) &&
      !documented.includes(`\`${name.replace(/_(?:bucket|sum|count)$/, '')}\``),
  );
  if (names.length === 0) throw new Error('no metric was asked for');
  if (unknown.length > 0) throw new Error(`asks for what docs/metrics.md does not have: ${unknown.join(' ')}`);
}

function broken(text: string, before: string, after: string): string {
  if (!text.includes(before)) throw new Error(`nothing to break: no "${before}"`);
  return text.replace(before, after);
}

async function expectRefusal(tools: ChartTools, what: string, input: string): Promise<void> {
  try {
    await read(tools, what, input);
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1 && error.stderr !== '') return;
    throw error;
  }
  throw new Error(`${what} was taken with a mistake in it: ${input}`);
}
