/** A pod's first packets: nothing leaks before its policies hold, and what is allowed waits no longer than they take. */
import { expect, test } from 'vitest';
import { describeKernel } from './netns.ts';
import { startPods } from './pod-start.ts';

/** Between the write of the last rule and the answer that says so, on a busy machine. */
const slackMs = 150;
/** The kernel asks for a neighbour again after a second: an answer that was lost while a link came up costs that much, policy or not. */
const neighbourRetryMs = 1000;

describeKernel('pods that start', () => {
  test('closed: not one packet leaks in 20 starts, and allowed ones wait for the programming alone', async () => {
    const starts = await startPods({ count: 20, podStart: 'closed' });
    expect(starts.flatMap(({ leaks }) => leaks)).toEqual([]);
    const waits = starts
      .flatMap(({ delayMs, programmedMs }) => [delayMs.local - programmedMs, delayMs.remote - programmedMs])
      .toSorted((left, right) => left - right);
    expect(waits[Math.floor(waits.length * 0.75)]).toBeLessThan(slackMs);
    expect(waits.at(-1)).toBeLessThan(slackMs + neighbourRetryMs);
  }, 400_000);

  test('open: the same knocking gets through, so it would have been seen', async () => {
    const starts = await startPods({ count: 5, podStart: 'open' });
    expect(new Set(starts.flatMap(({ leaks }) => leaks))).toContain('mallory of its node reached it');
  }, 200_000);
});
