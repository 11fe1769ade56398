/** What the agent promises of itself: nothing is written before the machine was looked at, and every repair is counted and told. */
import { afterEach, expect, test } from 'vitest';
import { endpointStatuses } from '../../src/agent/endpoint-status.ts';
import { MachineError } from '../../src/agent/failure.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, startAgent, stopAgent } from './agent-fixture.ts';
import { FakeKernel } from '../fakes/kernel.ts';

let started: StartedAgent | undefined;
afterEach(async () => {
  if (started !== undefined) await stopAgent(started);
});

test('nothing is written before the machine was found to have what is needed, nor ever where it has not', async () => {
  const check = Promise.withResolvers<void>();
  started = startAgent(new FakeKernel(), { checkMachine: () => check.promise });
  started.source.deliver({ changes: seedChanges(), synced: true });
  for (let round = 0; round < 5; round += 1) await run(started, 100);
  expect(started.kernel.writes).toEqual([]);
  check.reject(new MachineError('no set type'));
  await run(started, 100);
  expect(started.kernel.writes).toEqual([]);
  expect(await started.ended).toBeInstanceOf(MachineError);
});

test('a repair counts in a metric, and its line says what was there and what is there now', async () => {
  started = startAgent();
  started.source.deliver({ changes: seedChanges(), synced: true });
  await run(started);
  started.kernel.table('ip', 'filter').setChain('cali-FORWARD', []);
  started.drift.change('filter');
  await run(started, 200);
  expect((await started.metrics.driftRepairs.get()).values).toMatchObject([{ value: 1 }]);
  const [line] = started.log.filter(({ part }) => part === 'drift');
  expect(line).toMatchObject({ msg: 'drift was mended', object: 'ipv4 filter chain cali-FORWARD', before: 'empty' });
  expect(line?.['after']).toMatch(/^[\w-]{16}(, [\w-]{16})+$/);
});

test('a pod whose chain the kernel refuses is told as not programmed, with the reason', async () => {
  started = startAgent();
  started.kernel.refuses = (rule) => rule.includes('Start of policies');
  started.source.deliver({ changes: seedChanges(), synced: true });
  await run(started);
  const statuses = endpointStatuses(started.agent.desired.compiler, started.agent.kernel.programmed);
  const refused = statuses.filter(({ programmed }) => !programmed);
  expect(refused.length).toBeGreaterThan(0);
  for (const { reason } of refused) expect(reason).toMatch(/^the kernel refused its chain: /);
});
