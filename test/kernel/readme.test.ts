/** What README shows of Services is what people get: every command of that chapter is run, and answers as it says. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { root, runSluice } from '../cli/run-sluice.ts';
import { describeKernel } from './netns.ts';

interface Shown {
  readonly args: readonly string[];
  readonly output: string;
}

const name = `slreadme-${process.pid}`;

describeKernel('README, Services', () => {
  test.each(transcripts())(
    'lab %s',
    async (_, commands) => {
      const runDir = mkdtempSync(join(tmpdir(), 'sluice-readme-'));
      const environment = { SLUICE_LAB_RUN_DIR: runDir };
      try {
        for (const { args, output } of commands) {
          const { stdout, stderr, exitCode } = await runSluice(withName(args), environment);
          const isLab = args[0] === 'lab' && args[1] !== 'exec';
          expect([args.join(' '), likeAny(isLab ? stdout : stdout + stderr)]).toEqual([
            args.join(' '),
            likeAny(output),
          ]);
          expect(exitCode).toBe(output.startsWith('curl: (28)') ? 28 : 0);
        }
      } finally {
        await runSluice(['lab', 'down', '--name', name], environment);
        rmSync(runDir, { recursive: true, force: true });
      }
    },
    240_000,
  );
});

/** By lab: what stands between its `lab up` and the next one. */
function transcripts(): readonly (readonly [string, readonly Shown[]])[] {
  const text = readFileSync(join(root, 'README.md'), 'utf8');
  const chapter = /^## Services\n([\s\S]*?)^## /m.exec(text)?.[1] ?? '';
  const blocks = [...chapter.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
  const labs: [string, Shown[]][] = [];
  for (const piece of blocks
    .join('')
    .split(/^\$ npx sluice /m)
    .slice(1)) {
    const end = piece.indexOf('\n');
    const shown = { args: words(piece.slice(0, end)), output: piece.slice(end + 1) };
    if (shown.args[1] === 'up') labs.push([shown.args[2] ?? '', []]);
    labs.at(-1)?.[1].push(shown);
  }
  if (labs.length < 7) throw new Error(`README shows ${labs.length} labs of Services, expected seven at least`);
  return labs;
}

/** As a shell takes them: quotes hold words together. */
function words(line: string): readonly string[] {
  return (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ''));
}

/** The lab is a test's own. */
function withName(args: readonly string[]): readonly string[] {
  if (args[0] !== 'lab') return args;
  return [...args.slice(0, 2), '--name', name, ...args.slice(2)];
}

/** Which pod answers is chance, and so is a millisecond; whom it saw is not. */
function likeAny(output: string): string {
  return (
    output
      .replaceAll(/"pod":"([a-z]+)-\d","node":"node\d"/g, '"pod":"$1-?","node":"node?"')
      .replaceAll(/"server":"[\d.]+"/g, '"server":"?"')
      // The node's own address, by the way that the packet takes to the pod which was drawn: its own, or another node's.
      .replaceAll(/"client":"(?:10\.88\.\d+\.1|172\.31\.255\.\d+)"/g, '"client":"the node"')
      .replace(/after \d+ milliseconds/, 'after ? milliseconds')
      .replace(/^lab \S+ is up/, 'lab ? is up')
      .replace(/^taken away: \S+/, 'taken away: ?')
      .replace(/^(?:.+ +(?:STREAM|DGRAM|RAW) *\S*\n)+$/, (lines) => lines.split('\n').toSorted().join('\n'))
  );
}
