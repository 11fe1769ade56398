import { createMetrics } from '../../src/telemetry/metrics.ts';
import type { AgentView } from '../../src/server/app.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import type { PartStatus } from '../../src/telemetry/readiness.ts';
import type { AgentStatus } from '../../src/telemetry/status.ts';

const status: AgentStatus = {
  version: '0.1.0',
  node: 'minikube',
  pid: 7,
  startedAt: '2026-01-01T00:00:00.000Z',
  ready: true,
  parts: [],
  source: 'manifests examples/seed',
  ipFamilies: ['ipv4'],
  revision: 3,
  appliedRevision: 3,
  leftBehind: false,
  objects: { Pod: 1 },
  chains: 0,
  rules: 0,
  ipSets: 0,
  ipSetMembers: 0,
  endpoints: { known: 1, programmed: 1 },
  diagnostics: { errors: 0, warnings: 0 },
  driftRepairs: 0,
  failures: 0,
};

/** An agent that is at rest. */
export function agentView(changes: Partial<AgentView> = {}): AgentView {
  const { registry } = createMetrics();
  const parts: readonly PartStatus[] = [{ part: 'source' }, { part: 'kernel' }];
  return {
    parts,
    metricsContentType: registry.contentType,
    metricsText: () => registry.metrics(),
    state: new ClusterStore(),
    status,
    endpoints: { appliedRevision: 3, endpoints: [] },
    diagnostics: { diagnostics: [] },
    ipSets: [],
    compilerInput: undefined,
    renderText: () => '*filter\nCOMMIT\n',
    ...changes,
  };
}
