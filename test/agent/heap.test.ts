import { expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { calmMs, pauseMs, shrinkHeapWhenCalm } from '../../src/agent/heap.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

function stage() {
  const clock = new ManualClock();
  const stop = new AbortController();
  const kernel: { lastUpdate: { readonly at: string; readonly durationMs: number } | undefined } = {
    lastUpdate: undefined,
  };
  let collections = 0;
  const collect = (): void => void (collections += 1);
  const ended = shrinkHeapWhenCalm(kernel, stop.signal, { clock, collect });
  const write = (): void => void (kernel.lastUpdate = { at: '', durationMs: 1 });
  return { clock, stop, ended, write, collections: () => collections };
}

test('nothing is collected before the first write, nor while writes go on', async () => {
  const { clock, write, collections } = stage();
  await clock.advance(calmMs);
  for (let round = 0; round < 3; round += 1) {
    write();
    await clock.advance(calmMs);
  }
  expect(collections()).toBe(0);
  await clock.advance(calmMs);
  expect(collections()).toBe(1);
});

test('again after later writes, but seldom, and never for the same ones', async () => {
  const { clock, write, collections } = stage();
  write();
  await clock.advance(calmMs);
  await clock.advance(calmMs);
  expect(collections()).toBe(1);
  write();
  await clock.advance(calmMs);
  await clock.advance(calmMs);
  expect(collections()).toBe(1);
  await clock.advance(pauseMs);
  await clock.advance(calmMs);
  expect(collections()).toBe(2);
  await clock.advance(pauseMs);
  for (let round = 0; round < 3; round += 1) await clock.advance(calmMs);
  expect(collections()).toBe(2);
});

test('it ends with the agent', async () => {
  const { clock, stop, ended, write, collections } = stage();
  write();
  stop.abort();
  await clock.advance(calmMs);
  await ended;
  expect(collections()).toBe(0);
});

/** In a process of its own, whose memory is nobody else's: a storm, then the collection. */
const stormScript = `
  import { collectGarbage } from '${new URL('../../src/agent/heap.ts', import.meta.url).href}';
  let kept = [];
  for (let round = 0; round < 6; round += 1) {
    const storm = Array.from({ length: 200_000 }, (_, index) => ({ index, text: 'x' + index, pair: [index, index] }));
    kept = kept.concat(storm.slice(0, 5_000));
  }
  const before = process.memoryUsage().rss;
  collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  console.log(JSON.stringify({ before, rss, heapUsed, kept: kept.length }));
`;

test('what a storm took goes back to the machine', { timeout: 60_000 }, async () => {
  const { stdout } = await run([process.execPath, '--input-type=module', '--eval', stormScript]);
  const { before, rss } = JSON.parse(stdout);
  expect(before).toBeGreaterThan(180e6);
  expect(rss).toBeLessThan(before / 2);
});
