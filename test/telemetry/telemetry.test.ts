import { expect, test } from 'vitest';
import { createLogger } from '../../src/telemetry/logger.ts';
import { collectProcessMetrics, createMetrics } from '../../src/telemetry/metrics.ts';
import { Readiness } from '../../src/telemetry/readiness.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';

function collectingLogger() {
  const lines: unknown[] = [];
  const logger = createLogger('info', { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { logger, lines };
}

test('a line is JSON with level, time, fields and the static text', () => {
  const { logger, lines } = collectingLogger();
  logger.child({ part: 'kernel' }).info({ chains: 3, durationMs: 12 }, 'dataplane applied');
  expect(lines).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      part: 'kernel',
      chains: 3,
      durationMs: 12,
      msg: 'dataplane applied',
    },
  ]);
});

test('below the level nothing is written', () => {
  const { logger, lines } = collectingLogger();
  logger.debug({ chain: 'cali-FORWARD' }, 'chain written');
  expect(lines).toEqual([]);
});

test('an error keeps its facts and its causes', () => {
  const { logger, lines } = collectingLogger();
  const error = new Error('restore failed', { cause: new TypeError('deeper') });
  logger.error({ err: Object.assign(error, { exitCode: 4 }) }, 'update failed');
  expect(lines[0]).toMatchObject({
    err: { type: 'Error', message: 'restore failed', exitCode: 4, cause: { type: 'TypeError', message: 'deeper' } },
  });
});

test('readiness names the part that is not ready', () => {
  const readiness = new Readiness(['source', 'kernel']);
  expect(readiness.isReady).toBe(false);
  readiness.ready('source');
  readiness.ready('kernel');
  expect(readiness.isReady).toBe(true);
  readiness.unready('kernel', 'iptables-restore failed 3 times');
  expect(readiness.isReady).toBe(false);
  expect(readiness.parts).toEqual([{ part: 'source' }, { part: 'kernel', reason: 'iptables-restore failed 3 times' }]);
});

test('metrics have their names, labels and values', async () => {
  const metrics = createMetrics();
  metrics.applySeconds.observe({ kind: 'update' }, 0.02);
  metrics.chains.set({ family: 'ipv4', table: 'filter' }, 12);
  metrics.driftRepairs.inc();
  const text = await metrics.registry.metrics();
  expect(text).toContain('sluice_apply_duration_seconds_bucket{le="0.025",kind="update"} 1');
  expect(text).toContain('sluice_chains{family="ipv4",table="filter"} 12');
  expect(text).toContain('sluice_drift_repairs_total 1');
});

test('the process tells of itself without a timer that goes all the time', async () => {
  const { registry } = createMetrics();
  collectProcessMetrics(registry);
  const text = await registry.metrics();
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_heap_size_used_bytes'])
    expect(text).toContain(`${name} `);
  expect(text).not.toMatch(/^nodejs_eventloop_lag_\w+_seconds /m);
});

test('two agents in one process have metrics of their own', async () => {
  const first = createMetrics();
  createMetrics().driftRepairs.inc(5);
  expect(await first.registry.getSingleMetricAsString('sluice_drift_repairs_total')).toContain('_total 0');
});

test('sleep ends early on abort and never rejects', async () => {
  const abort = new AbortController();
  const started = systemClock.now();
  const sleeping = systemClock.sleep(60_000, abort.signal);
  abort.abort();
  await sleeping;
  await systemClock.sleep(60_000, abort.signal);
  expect(systemClock.now() - started).toBeLessThan(5000);
});
