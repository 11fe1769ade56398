import { expect, test } from 'vitest';
import { Reconciler } from '../../src/agent/reconciler.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';

/** A reconciler whose runs the test lets end, one by one. */
function setUp(giveUpAfter = Number.POSITIVE_INFINITY) {
  const clock = new ManualClock();
  const abort = new AbortController();
  const failures: { attempt: number; pauseMs: number }[] = [];
  const runs: { succeed: () => void; fail: () => void }[] = [];
  const reconciler = new Reconciler({
    clock,
    collectMs: 5,
    minBackoffMs: 100,
    maxBackoffMs: 1000,
    reconcile: () =>
      new Promise((resolve, reject) => {
        runs.push({ succeed: resolve, fail: () => reject(new Error('restore failed')) });
      }),
    onFailure: (error, attempt, pauseMs) => {
      failures.push({ attempt, pauseMs });
      if (attempt >= giveUpAfter) throw error;
    },
  });
  const ended = reconciler.run(abort.signal);
  return { clock, abort, failures, runs, reconciler, ended };
}

test('at rest nothing runs', async () => {
  const { clock, runs, abort, ended } = setUp();
  await clock.advance(100_000);
  expect(runs).toHaveLength(0);
  abort.abort();
  await ended;
});

test('marks within the collecting time are one run', async () => {
  const { clock, runs, reconciler, abort, ended } = setUp();
  reconciler.markDirty();
  await clock.advance(4);
  reconciler.markDirty();
  expect(runs).toHaveLength(0);
  await clock.advance(1);
  expect(runs).toHaveLength(1);
  runs[0]?.succeed();
  await clock.advance(100);
  expect(runs).toHaveLength(1);
  abort.abort();
  await ended;
});

test('many marks while a run is on cost one more run, after it', async () => {
  const { clock, runs, reconciler, abort, ended } = setUp();
  reconciler.markDirty();
  await clock.advance(5);
  for (let mark = 0; mark < 10; mark += 1) reconciler.markDirty();
  await clock.advance(50);
  expect(runs).toHaveLength(1);
  runs[0]?.succeed();
  await clock.advance(5);
  expect(runs).toHaveLength(2);
  runs[1]?.succeed();
  await clock.advance(50);
  expect(runs).toHaveLength(2);
  abort.abort();
  await ended;
});

test('failures are tried again by themselves, with growing pauses up to the longest', async () => {
  const { clock, runs, failures, reconciler, abort, ended } = setUp();
  reconciler.markDirty();
  await clock.advance(5);
  for (const pauseMs of [100, 200, 400, 800, 1000, 1000]) {
    runs.at(-1)?.fail();
    await settle();
    expect(failures.at(-1)).toEqual({ attempt: runs.length, pauseMs });
    const before = runs.length;
    await clock.advance(pauseMs - 1);
    expect(runs).toHaveLength(before);
    await clock.advance(1);
    expect(runs).toHaveLength(before + 1);
  }
  runs.at(-1)?.succeed();
  await clock.advance(2000);
  expect(runs).toHaveLength(7);
  abort.abort();
  await ended;
});

test('after a success the count begins again', async () => {
  const { clock, runs, failures, reconciler, abort, ended } = setUp();
  reconciler.markDirty();
  await clock.advance(5);
  runs[0]?.fail();
  await clock.advance(100);
  runs[1]?.succeed();
  await settle();
  reconciler.markDirty();
  await clock.advance(5);
  runs[2]?.fail();
  await settle();
  expect(failures.map(({ attempt }) => attempt)).toEqual([1, 1]);
  abort.abort();
  await ended;
});

test('a run that has begun is finished on the way out', async () => {
  const { clock, runs, reconciler, abort, ended } = setUp();
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
  });
  reconciler.markDirty();
  await clock.advance(5);
  abort.abort();
  await settle();
  expect(hasEnded).toBe(false);
  runs[0]?.succeed();
  await ended;
  expect(runs).toHaveLength(1);
});

test('giving up ends the loop with the failure', async () => {
  const { clock, runs, reconciler, ended } = setUp(2);
  const outcome = ended.then(
    () => 'ended',
    (error: unknown) => String(error),
  );
  reconciler.markDirty();
  await clock.advance(5);
  runs[0]?.fail();
  await clock.advance(100);
  runs[1]?.fail();
  expect(await outcome).toBe('Error: restore failed');
});
