import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles } from '../../image/debian-root.ts';

test('files of a root: links are not followed, neither out of it nor inside', () => {
  const outside = mkdtempSync(join(tmpdir(), 'sluice-outside-'));
  const root = mkdtempSync(join(tmpdir(), 'sluice-root-'));
  writeFileSync(join(outside, 'of-the-machine'), '');
  for (const folder of ['usr/bin', 'var', 'run']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'usr/bin/sh'), '');
  writeFileSync(join(root, 'run/lock'), '');
  symlinkSync('usr/bin', join(root, 'bin'));
  symlinkSync(outside, join(root, 'var/run'));
  expect([...listFiles(root).keys()].sort()).toEqual(['bin', 'run', 'usr', 'usr/bin', 'usr/bin/sh', 'var', 'var/run']);
  for (const folder of [outside, root]) rmSync(folder, { recursive: true });
});
