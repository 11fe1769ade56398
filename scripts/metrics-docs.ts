/** docs/metrics.md: made from the registry, so that it cannot be wrong. */
import { createMetrics } from '../src/telemetry/metrics.ts';

/** The text of docs/metrics.md. */
export function metricsDocs(): string {
  const metrics = createMetrics().registry.getMetricsAsArray();
  return [
    '# Metrics',
    '',
    '<!-- Generated from src/telemetry/metrics.ts by scripts/generate.ts. -->',
    '',
    "`/metrics` of each node's agent (`httpAddress`, `httpPort`), with Node's own `process_*` and `nodejs_*` beside them. Alerts and a",
    'dashboard that use them are in the chart (`prometheusRule.enabled`, `dashboard.enabled`).',
    '',
    '| Metric | Type | Labels | Meaning |',
    '|---|---|---|---|',
    ...metrics.map(
      (metric) => `| \`${metric.name}\` | ${String(metric.type)} | ${labelsOf(metric)} | ${metric.help} |`,
    ),
    '',
  ].join('\n');
}

/** The library's types do not have them. */
function labelsOf(metric: object): string {
  const names: unknown = 'labelNames' in metric ? metric.labelNames : [];
  return Array.isArray(names) ? names.map((name) => `\`${String(name)}\``).join(', ') : '';
}
