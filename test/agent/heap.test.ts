import { expect, test } from 'vitest';
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
