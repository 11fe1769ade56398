/** Everything Prometheus can ask for, in one place, with its names. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of its own for each agent: nothing global, so that tests can make several. */
export function createMetrics() {
  const registry = new Registry();
  return {
    registry,
    ...durations(registry),
    ...sizes(registry),
    pendingSeconds: gauge(
      registry,
      'sluice_oldest_pending_change_seconds',
      'Age of the oldest change that is not in the kernel; 0: none is waiting.',
    ),
    lastWrite: gauge(
      registry,
      'sluice_last_write_timestamp_seconds',
      'When something was last written to the kernel with success; 0: nothing since the start.',
    ),
    buildInfo: gauge(registry, 'sluice_build_info', 'Always 1; its labels are the versions in use.', [
      'version',
      'iptables',
      'variant',
      'ipset',
      'kernel',
    ]),
    sourceRequests: sourceRequests(registry),
    reconcileErrors: counter(registry, 'sluice_reconcile_errors_total', 'Updates that failed and were tried again.'),
    driftRepairs: counter(
      registry,
      'sluice_drift_repairs_total',
      'Times that our rules were found changed and were mended.',
    ),
    restoreCalls: counter(registry, 'sluice_restore_calls_total', 'Runs of programs that write to the kernel.', [
      'program',
    ]),
    restoreErrors: counter(registry, 'sluice_restore_errors_total', 'Failed runs of such programs.', ['program']),
    connectionsCut: counter(
      registry,
      'sluice_connections_cut_total',
      'Open connections ended because policy now denies them.',
    ),
    staleFlows: counter(
      registry,
      'sluice_udp_flows_deleted_total',
      'Tracked UDP flows of Services deleted because their endpoint or their Service is gone.',
    ),
  };
}

function durations(registry: Registry) {
  const registers = [registry];
  return {
    applySeconds: new Histogram({
      name: 'sluice_apply_duration_seconds',
      help: 'Time to bring one update into the kernel.',
      labelNames: ['kind'],
      buckets: secondsBuckets,
      registers,
    }),
    programmingSeconds: new Histogram({
      name: 'sluice_programming_latency_seconds',
      help: 'Time from the arrival of a change of an object to its rules being in the kernel.',
      labelNames: ['kind'],
      buckets: secondsBuckets,
      registers,
    }),
    compileSeconds: new Histogram({
      name: 'sluice_compile_duration_seconds',
      help: 'Time to calculate one update.',
      buckets: secondsBuckets,
      registers,
    }),
  };
}

/** How much there is. */
function sizes(registry: Registry) {
  return {
    chains: gauge(registry, 'sluice_chains', 'Chains that should be in the kernel.', ['family', 'table']),
    rules: gauge(registry, 'sluice_rules', 'Rules that should be in the kernel.', ['family', 'table']),
    ipSets: gauge(registry, 'sluice_ipsets', 'IP sets that should be in the kernel.', ['family']),
    ipSetMembers: gauge(registry, 'sluice_ipset_members', 'Members of all IP sets.', ['family']),
    ipSetFill: gauge(
      registry,
      'sluice_ipset_fill_ratio',
      'Members of the fullest IP set, by the room that the kernel gave it; beyond 1 it is made anew, larger.',
      ['family'],
    ),
    objects: gauge(registry, 'sluice_cluster_objects', 'Objects of the cluster that are known.', ['kind']),
    endpoints: gauge(registry, 'sluice_local_endpoints', 'Pods of this node that are policed.', ['programmed']),
    diagnostics: gauge(registry, 'sluice_diagnostics', 'Mistakes in objects, by severity.', ['severity']),
    ready: gauge(registry, 'sluice_part_ready', 'Whether a part of the agent is ready.', ['part']),
  };
}

/** What following a Kubernetes API server costs and suffers. */
function sourceRequests(registry: Registry) {
  const one = (name: string, help: string): Counter<'kind'> => counter(registry, name, help, ['kind']);
  return {
    list: one('sluice_kube_lists_total', 'Lists of a kind begun; after the first: a watch was too far behind.'),
    watch: one('sluice_kube_watches_total', 'Watches of a kind begun.'),
    event: one('sluice_kube_events_total', 'Lines that watches of a kind brought, bookmarks too.'),
    error: one('sluice_kube_errors_total', 'Lists and watches of a kind that failed.'),
  };
}

/** CPU, memory and event loop of the process itself, as they are when asked for. */
export function collectProcessMetrics(registry: Registry): void {
  // A histogram of the loop's delay takes a sample every 10 ms, which is most of what an agent at rest would cost.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: never });
  for (const name of ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99']) {
    registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
  }
}

/** In milliseconds: the longest time that a timer takes. */
const never = 2 ** 31 - 1;

function gauge<T extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly T[] = [],
): Gauge<T> {
  return new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
}

function counter<T extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly T[] = [],
): Counter<T> {
  return new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
}
