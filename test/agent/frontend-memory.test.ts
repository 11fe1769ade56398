import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { FrontendMemory } from '../../src/agent/frontend-memory.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-frontends-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('what one agent remembers the next one reads; a file that is none is nothing', async () => {
  const run = join(directory, 'run');
  expect(await new FrontendMemory(run).read()).toEqual([]);
  await new FrontendMemory(run).remember(['10.96.0.10:53', '[fd00::1]:53']);
  expect(await new FrontendMemory(run).read()).toEqual(['10.96.0.10:53', '[fd00::1]:53']);
  writeFileSync(join(run, 'udp-frontends.json'), '{"half":');
  expect(await new FrontendMemory(run).read()).toEqual([]);
});
