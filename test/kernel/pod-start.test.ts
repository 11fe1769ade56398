/** A pod's first packets: nothing leaks before its policies hold, and what is allowed waits no longer than they take. */
import { expect, test } from 'vitest';
import { describeKernel } from './netns.ts';
import { startPods } from './pod-start.ts';

/** Between the write of the last rule and the answer that says so, on a busy machine. */
const slackMs = 150;

describeKernel('pods that start', () => {
  test('closed: not one packet leaks in 20 starts, and allowed ones wait for the programming alone', async () => {
    const starts = await startPods({ count: 20, podStart: 'closed' });
    expect(starts.flatMap(({ leaks }) => leaks)).toEqual([]);
    for (const { delayMs, programmedMs } of starts) {
      expect(delayMs.local).toBeLessThan(programmedMs + slackMs);
      expect(delayMs.remote).toBeLessThan(programmedMs + slackMs);
    }
  }, 400_000);

  test('open: the same knocking gets through, so it would have been seen', async () => {
    const starts = await startPods({ count: 5, podStart: 'open' });
    expect(new Set(starts.flatMap(({ leaks }) => leaks))).toContain('mallory of its node reached it');
  }, 200_000);
});
