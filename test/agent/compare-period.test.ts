/** A compare may take long, where there is much to compare or little to compare with: then it comes more rarely. */
import { afterEach, expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import type { ResyncOptions } from '../../src/backends/kernel-writer.ts';
import type { Inspection, WriteReport } from '../../src/backends/write-report.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import type { StartedAgent } from './agent-fixture.ts';
import { run, seedChanges, startAgent, stopAgent } from './agent-fixture.ts';

/** The real one, whose compares are said to have taken so long. */
class SlowWriter extends KernelWriter {
  tookMs: number;
  /** `all`, or the tables. */
  readonly compares: string[] = [];

  constructor(kernel: FakeKernel, tookMs: number) {
    const ownership = { services: false };
    const backend = new KernelBackend({ run: kernel.run, variant: 'nft', families: ['ipv4'], ownership });
    super({ backend, retryDelaysMs: [] });
    this.tookMs = tookMs;
  }

  override async resync(dataplane: Dataplane, options: ResyncOptions = {}): Promise<WriteReport> {
    this.compares.push(options.scope?.tables.join() ?? 'everything at once');
    return { ...(await super.resync(dataplane, options)), durationMs: this.tookMs };
  }

  /** The last part alone takes its time. */
  override async inspectNext(dataplane: Dataplane): Promise<Inspection> {
    const part = await super.inspectNext(dataplane);
    if (part.isLast) this.compares.push('all');
    return { ...part, durationMs: part.isLast ? this.tookMs : 0 };
  }
}

let started: StartedAgent;
afterEach(() => stopAgent(started));

async function bringUp(tookMs: number): Promise<SlowWriter> {
  const kernel = new FakeKernel();
  const writer = new SlowWriter(kernel, tookMs);
  started = startAgent(kernel, { writer });
  started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [] });
  await run(started);
  return writer;
}

/** In steps, so that what follows from one may happen before the next. */
async function pass(milliseconds: number, step: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += step) await run(started, step);
}

test('a full compare that is quick comes every resyncSeconds', async () => {
  const { compares } = await bringUp(10);
  await pass(4 * 90_000 + 3000, 500);
  expect(compares).toEqual(['all', 'all', 'all', 'all']);
});

test('a full compare that takes two seconds comes every 200: it costs a hundredth of the time', async () => {
  const { compares } = await bringUp(2000);
  await pass(93_000, 500);
  expect(compares).toHaveLength(1);
  await pass(195_500, 1000);
  expect(compares).toHaveLength(1);
  await pass(6000, 500);
  expect(compares).toHaveLength(2);
});

test('a quick compare of one table between two full ones brings the next full one no nearer', async () => {
  const writer = await bringUp(2000);
  await pass(93_000, 500);
  expect(writer.compares).toEqual(['all']);
  writer.tookMs = 10;
  await pass(30_000, 1000);
  started.drift.change('filter');
  await pass(165_000, 1000);
  expect(writer.compares).toEqual(['all', 'filter']);
  await pass(6000, 500);
  expect(writer.compares).toEqual(['all', 'filter', 'all']);
});

test('whoever changes rules all the time makes us compare for a tenth of the time', async () => {
  const { compares } = await bringUp(1000);
  for (let change = 0; change < 40; change += 1) {
    started.drift.change('filter');
    await run(started, 500);
  }
  // Twenty seconds of changes: at their beginning, and ten seconds after each compare.
  expect(compares.length).toBeGreaterThanOrEqual(2);
  expect(compares.length).toBeLessThanOrEqual(3);
});
