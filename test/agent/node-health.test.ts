/** What the agent's /healthz knows of its own node (scenario 122). */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LiveAgentView } from '../../src/agent/agent-view.ts';
import { ServiceKeeper } from '../../src/agent/service-keeper.ts';
import type { Node } from '../../src/cluster/objects.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { idleServiceParts } from './idle-service-parts.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, set, startAgent, stopAgent } from './agent-fixture.ts';

let started: StartedAgent;

beforeEach(() => {
  const services = new ServiceKeeper({
    ...idleServiceParts(),
    clock: new ManualClock(),
    logger: createLogger('warn', { write: () => undefined }),
    metrics: createMetrics(),
  });
  started = startAgent(undefined, { services });
});
afterEach(() => stopAgent(started));

function health({ agent, metrics, readiness }: StartedAgent) {
  const identity = {
    version: '0.1.0',
    node: 'minikube',
    pid: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    source: 'manifests examples/seed',
    ipFamilies: ['ipv4'],
  };
  return new LiveAgentView({ agent, metrics, readiness, identity, versions: () => undefined }).nodeHealth;
}

const node: Node = { kind: 'Node', name: 'minikube', labels: {}, addresses: [], podCidrs: [] };

test('122: fit once its Node is known, until that is about to go', async () => {
  started.source.deliver({ changes: seedChanges(), synced: true });
  await run(started);
  expect(health(started)).toMatchObject({ healthy: true, nodeEligible: false, families: ['ipv4'] });
  started.source.deliver({ changes: [set(node)], synced: true });
  await run(started);
  expect(health(started)).toMatchObject({ nodeEligible: true, lastUpdated: '1970-01-01T00:00:00.000Z' });
  started.source.deliver({ changes: [set({ ...node, leaving: true })], synced: true });
  await run(started);
  expect(health(started)).toMatchObject({ healthy: true, nodeEligible: false });
});

test('an agent that serves no Services says nothing of it', async () => {
  const other = startAgent();
  expect(health(other)).toBeUndefined();
  await stopAgent(other);
});
