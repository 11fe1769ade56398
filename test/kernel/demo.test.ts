/** The demo as `npm run demo` runs it, and README's tour, which shows what it prints. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root, runSluice } from '../cli/run-sluice.ts';
import { describeKernel } from './netns.ts';

describeKernel('the demo', () => {
  test('every cell is as expected, and README shows what is printed', async () => {
    const runDir = mkdtempSync(join(tmpdir(), 'sluice-demo-test-'));
    try {
      const { stdout, stderr, exitCode } = await runSluice(['demo'], { SLUICE_LAB_RUN_DIR: runDir });
      expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining('sluice: ')]);
      expect(stdout).toContain('\n18 of 18 connections as expected\n');
      const printed = likeAny(stdout.replaceAll(runDir, '/run/sluice-lab')).split('\n');
      const blocks = tour();
      expect(blocks.length).toBeGreaterThanOrEqual(8);
      let at = 0;
      for (const line of blocks.flatMap((block) => likeAny(block).trim().split('\n'))) {
        const found = printed.indexOf(line, at);
        expect(found === -1 ? `not printed after ${printed[at] ?? ''}: ${line}` : '').toBe('');
        at = found + 1;
      }
    } finally {
      rmSync(runDir, { recursive: true, force: true });
    }
  }, 120_000);
});

/** What README's tour shows, in its order. */
function tour(): readonly string[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const chapter = /^## Tour\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
  return [...chapter.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
}

/** A millisecond, and what the kernel draws for a set. */
function likeAny(output: string): string {
  return output
    .replace(/after \d+ milliseconds/, 'after ? milliseconds')
    .replace(/initval 0x[0-9a-f]+/, 'initval ?')
    .replace(/Size in memory: \d+/, 'Size in memory: ?');
}
