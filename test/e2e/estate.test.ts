import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startDaemon } from '../../e2e/cluster/daemon.ts';
import { end, isRunning, markOf } from '../../e2e/cluster/running.ts';
import { undo } from '../../e2e/cluster/undo.ts';
import { spawnProcess } from '../../src/backends/exec.ts';

test('a process is told apart from a later one with its number', async () => {
  const { pid, exited } = spawnProcess(['sleep', '60']);
  const mark = markOf(pid);
  expect(mark).toMatch(/^\d+ \d+$/);
  expect(isRunning(mark ?? '')).toBe(true);
  expect(isRunning(`${pid} 1`)).toBe(false);
  await end(`${pid} 1`);
  expect(isRunning(mark ?? '')).toBe(true);
  await end(mark ?? '');
  expect((await exited).signal).toBe('SIGTERM');
  expect(markOf(pid)).toBeUndefined();
});

test('a program that takes no notice of SIGTERM is ended', async () => {
  const { pid } = spawnProcess(['sh', '-c', 'trap "" TERM; echo ready >&2; while :; do sleep 0.1; done']);
  const mark = markOf(pid) ?? '';
  await new Promise((resolve) => setTimeout(resolve, 200));
  await end(mark, 300);
  expect(isRunning(mark)).toBe(false);
});

test('what a run left is undone, the last first, and an error keeps nothing from it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-estate-'));
  const log = join(folder, 'log');
  const journal: string[] = [];
  const estate = { record: (entry: object) => void journal.push(JSON.stringify(entry)) };
  const daemon = startDaemon(estate, ['sh', '-c', 'echo started; exec sleep 60'], { name: 'sleeper', log });
  await expect.poll(() => readFileSync(log, 'utf8')).toBe('started\n');
  writeFileSync(join(folder, 'kept'), 'before\n');
  const errors = await undo([
    { kind: 'sysctl', file: join(folder, 'nowhere', 'x'), value: '1' },
    { kind: 'sysctl', file: join(folder, 'kept'), value: 'after' },
    { kind: 'process', mark: markOf(daemon.pid) ?? '', name: 'sleeper' },
    { kind: 'netns', name: 'slc-e2e-never-made' },
  ]);
  expect(journal).toEqual([expect.stringContaining('"sleeper"')]);
  expect(errors.map(String)).toEqual([expect.stringContaining('ENOENT')]);
  expect(readFileSync(join(folder, 'kept'), 'utf8')).toBe('after');
  expect(daemon.isRunning()).toBe(false);
  expect(await undo([{ kind: 'folder', folder }])).toEqual([]);
  expect(existsSync(folder)).toBe(false);
});
