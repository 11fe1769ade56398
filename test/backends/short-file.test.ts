import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readShortFile } from '../../src/backends/short-file.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-short-'));
});
afterAll(() => rm(directory, { recursive: true }));

test.each([0, 1, 10])('%i bytes are read where ten are short', async (length) => {
  const path = join(directory, String(length));
  await writeFile(path, 'x'.repeat(length));
  expect(await readShortFile(path, 10)).toBe('x'.repeat(length));
});

test('a longer file, a directory, and what is not there have no text', async () => {
  const path = join(directory, 'long');
  await writeFile(path, 'x'.repeat(11));
  for (const what of [path, directory, join(directory, 'nothing')])
    expect(await readShortFile(what, 10)).toBeUndefined();
});

test('a file of /proc, which tells no length, is read to its end', async () => {
  const text = await readShortFile('/proc/self/status');
  expect(text).toMatch(/^Name:/);
  expect(text).toMatch(/\nnonvoluntary_ctxt_switches:\s+\d+\n$/);
});
