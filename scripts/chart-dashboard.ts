/** charts/sluice/files/dashboard.json: what an operator looks at, from one table. */

interface Panel {
  readonly title: string;
  readonly unit: 's' | 'short' | 'bytes' | 'percentunit';
  /** Expression, and the legend that tells its series apart. */
  readonly queries: readonly (readonly [expression: string, legend: string])[];
}

const nodes = 'node=~"$node"';

function quantile(of: string, metric: string, by: string): readonly [string, string] {
  const rate = `sum by (${by}, le) (rate(${metric}_bucket{${nodes}}[$__rate_interval]))`;
  return [`histogram_quantile(${of}, ${rate})`, `p${Number(of) * 100} {{${by}}}`];
}

function perSecond(metric: string, by: string): readonly [string, string] {
  return [`sum by (${by}) (rate(${metric}{${nodes}}[$__rate_interval]))`, `{{${by}}}`];
}

function total(metric: string, by: string): readonly [string, string] {
  return [`sum by (${by}) (${metric}{${nodes}})`, `{{${by}}}`];
}

const panels: readonly Panel[] = [
  {
    title: 'Parts that are not ready',
    unit: 'short',
    queries: [[`sluice_part_ready{${nodes}} == 0`, '{{node}} {{part}}']],
  },
  {
    title: 'Diagnostics',
    unit: 'short',
    queries: [[`max by (severity) (sluice_diagnostics{${nodes}})`, '{{severity}}']],
  },
  {
    title: 'From the API to the kernel',
    unit: 's',
    queries: [
      quantile('0.5', 'sluice_programming_latency_seconds', 'kind'),
      quantile('0.99', 'sluice_programming_latency_seconds', 'kind'),
    ],
  },
  { title: 'Writing one update', unit: 's', queries: [quantile('0.99', 'sluice_apply_duration_seconds', 'kind')] },
  {
    title: 'Calculating one update',
    unit: 's',
    queries: [quantile('0.99', 'sluice_compile_duration_seconds', 'node')],
  },
  {
    title: 'Updates that failed, programs that failed',
    unit: 'short',
    queries: [perSecond('sluice_reconcile_errors_total', 'node'), perSecond('sluice_restore_errors_total', 'program')],
  },
  {
    title: 'Programs that write to the kernel',
    unit: 'short',
    queries: [perSecond('sluice_restore_calls_total', 'program')],
  },
  { title: 'Drift that was mended', unit: 'short', queries: [perSecond('sluice_drift_repairs_total', 'node')] },
  {
    title: 'Age of the oldest change that waits, and of the last write',
    unit: 's',
    queries: [
      [`max by (node) (sluice_oldest_pending_change_seconds{${nodes}})`, '{{node}} oldest change'],
      [`time() - (sluice_last_write_timestamp_seconds{${nodes}} > 0)`, '{{node}} last write'],
    ],
  },
  { title: 'Rules', unit: 'short', queries: [total('sluice_rules', 'node')] },
  {
    title: 'Sets and their members',
    unit: 'short',
    queries: [total('sluice_ipsets', 'family'), total('sluice_ipset_members', 'family')],
  },
  {
    title: 'Room that is taken in the fullest set',
    unit: 'percentunit',
    queries: [[`max by (node, family) (sluice_ipset_fill_ratio{${nodes}})`, '{{node}} {{family}}']],
  },
  { title: 'Policed pods', unit: 'short', queries: [total('sluice_local_endpoints', 'programmed')] },
  {
    title: 'Objects that are known',
    unit: 'short',
    queries: [[`max by (kind) (sluice_cluster_objects{${nodes}})`, '{{kind}}']],
  },
  {
    title: 'Watches begun and failed',
    unit: 'short',
    queries: [perSecond('sluice_kube_watches_total', 'kind'), perSecond('sluice_kube_errors_total', 'kind')],
  },
  {
    title: 'Connections cut, UDP flows deleted',
    unit: 'short',
    queries: [perSecond('sluice_connections_cut_total', 'node'), perSecond('sluice_udp_flows_deleted_total', 'node')],
  },
  {
    title: 'Versions',
    unit: 'short',
    queries: [
      [
        `count by (version, iptables, variant, kernel) (sluice_build_info{${nodes}})`,
        'Sluice {{version}}, iptables {{iptables}} ({{variant}}), kernel {{kernel}}',
      ],
    ],
  },
  { title: 'Memory', unit: 'bytes', queries: [total('process_resident_memory_bytes', 'node')] },
  { title: 'Processor', unit: 'short', queries: [perSecond('process_cpu_seconds_total', 'node')] },
];

/** The text of the dashboard. */
export function chartDashboard(): string {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const dashboard = {
    title: 'Sluice',
    uid: 'sluice',
    tags: ['sluice', 'networkpolicy'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus' },
        {
          name: 'node',
          type: 'query',
          datasource,
          query: 'label_values(sluice_part_ready, node)',
          includeAll: true,
          multi: true,
          refresh: 2,
        },
      ],
    },
    panels: panels.map(({ title, unit, queries }, index) => ({
      id: index + 1,
      type: 'timeseries',
      title,
      datasource,
      gridPos: { x: (index % 2) * 12, y: Math.floor(index / 2) * 8, w: 12, h: 8 },
      fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
      targets: queries.map(([expr, legendFormat], number) => ({
        refId: String.fromCodePoint(65 + number),
        datasource,
        expr,
        legendFormat,
      })),
    })),
  };
  return `${JSON.stringify(dashboard, null, 1)}\n`;
}
