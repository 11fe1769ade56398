/** docs/conformance.md names all of kube-proxy's numbered scenarios, and each with tests that carry its number. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const scenarioCount = 128;

interface Row {
  readonly number: number;
  readonly title: string;
  readonly where: string;
}

const rows: readonly Row[] = [
  ...readFileSync(join(root, 'docs', 'conformance.md'), 'utf8').matchAll(/^\| (\d+) \| (.+?) \| (.+) \|$/gm),
].map(([, number, title = '', where = '']) => ({ number: Number(number), title, where }));

test('every scenario has one row, in order', () => {
  const wanted = Array.from({ length: scenarioCount }, (_, index) => index + 1);
  expect(rows.map(({ number }) => number)).toEqual(wanted);
  expect(new Set(rows.map(({ title }) => title)).size).toBe(scenarioCount);
});

test('a row names tests that carry its number, or says why there is none', () => {
  const wrong = rows.flatMap(({ number, where }) => {
    if (/^not here: .{20,}/.test(where)) return [];
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file);
    if (files.length === 0) return [`${number}: no test and no reason`];
    return files.filter((file) => !numbersIn(file).has(number)).map((file) => `${number} is not in ${file}`);
  });
  expect(wrong).toEqual([]);
});

test('a number that is in no test is found', () => {
  expect(numbersIn('service/names.test.ts').has(1)).toBe(true);
  expect(numbersIn('service/names.test.ts').has(2)).toBe(false);
  expect(numbersIn('service/no-such.test.ts').size).toBe(0);
});

/** Names of tests and of their rows begin with numbers: `'3, 34: ...'`, or `['56', 'outside', ...]`. */
function numbersIn(file: string): ReadonlySet<number> {
  const path = join(root, 'test', file);
  if (!existsSync(path)) return new Set();
  const text = readFileSync(path, 'utf8');
  const names = [...text.matchAll(/['"`](\d{1,3}(?:, \d{1,3})*): /g)].flatMap(([, list = '']) => list.split(', '));
  const cells = [...text.matchAll(/\[\s*'(\d{1,3})',/g)].flatMap(([, number]) => number ?? []);
  return new Set([...names, ...cells].map(Number));
}
