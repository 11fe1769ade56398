import { expect, test } from 'vitest';
import { connectivityTable, summarize, type Cell } from '../../src/cli/demo/connectivity.ts';
import type { ExitCode } from '../../src/cli/exit-code.ts';

const cells: readonly Cell[] = [
  { from: 'frontend', to: 'db', reached: false, expected: false, detail: 'curl: (28) Connection timed out' },
  { from: 'db', to: 'frontend', reached: true, expected: true, detail: 'frontend-0' },
];

/** Hears what is said. */
class Heard {
  text = '';
  exitCode: ExitCode = 0;
  out(text: string): void {
    this.text += text;
  }
  error(text: string): void {
    this.text += text;
  }
}

test('every connection as expected: exit code 0', () => {
  const io = new Heard();
  summarize(io, cells);
  expect([io.text, io.exitCode]).toEqual(['\n2 of 2 connections as expected\n', 0]);
});

test.each([
  ['a connection that must not be', { ...cells[0], reached: true, detail: 'db-0' }, 'frontend reached db: db-0'],
  ['one that must be', { ...cells[1], reached: false, detail: 'curl: (7)' }, 'db did not reach frontend: curl: (7)'],
] as const)('%s: named, marked in the table, exit code 1', (_, wrong, words) => {
  const io = new Heard();
  const all = cells.map((cell) => (cell.from === wrong.from ? { ...cell, ...wrong } : cell));
  summarize(io, all);
  expect(io.text).toBe(`sluice: ${words}\n\n1 of 2 connections as expected\n`);
  expect(io.exitCode).toBe(1);
  expect(
    connectivityTable(all)
      .flat()
      .filter((word) => word.endsWith(' !')),
  ).toHaveLength(1);
});
