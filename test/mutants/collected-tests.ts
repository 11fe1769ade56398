/**
 * What tests import in place of `vitest` while Stryker judges mutants: they are collected here once, and called as often as there are
 * mutants. As much of vitest as the unit tests of the layers use; what is missing fails when the tests are loaded.
 */
import { relative } from 'node:path';
import { format } from 'node:util';

export { expect } from 'vitest';

type Step = () => unknown;

interface Suite {
  readonly path: string;
  readonly parent: Suite | undefined;
  readonly before: Step[];
  readonly after: Step[];
}

export interface CollectedTest {
  readonly id: string;
  readonly file: string;
  /** Everything that the test is: what is set up before it, itself, what is taken down after it. */
  readonly run: () => Promise<void>;
}

export const collected: CollectedTest[] = [];
const known = new Set<string>();
let suite: Suite = suiteOf('', undefined);
let file = '';

/** Imports one test file; its tests are in `collected` afterwards. */
export async function collect(path: string): Promise<void> {
  file = path;
  // Where the tree is copied to is no part of a test's name: what was judged before is known again by it.
  suite = suiteOf(relative(process.cwd(), path), undefined);
  await import(path);
}

function suiteOf(path: string, parent: Suite | undefined): Suite {
  return { path, parent, before: [], after: [] };
}

type Body<Row extends readonly unknown[]> = (...row: Row) => unknown;

function addTest(name: string, body: Step): void {
  const own = suite;
  const id = uniqueId(`${own.path} > ${name}`);
  collected.push({ id, file, run: () => runTest(own, body) });
}

function addSuite(name: string, body: Step): void {
  const outer = suite;
  suite = suiteOf(`${outer.path} > ${name}`, outer);
  body();
  suite = outer;
}

function uniqueId(id: string): string {
  let unique = id;
  for (let count = 2; known.has(unique); count += 1) unique = `${id} (${count})`;
  known.add(unique);
  return unique;
}

async function runTest(own: Suite, body: Step): Promise<void> {
  const line: Suite[] = [];
  for (let one: Suite | undefined = own; one !== undefined; one = one.parent) line.unshift(one);
  try {
    for (const step of line.flatMap(({ before }) => before)) await step();
    await body();
  } finally {
    for (const step of line.toReversed().flatMap(({ after }) => after)) await step();
  }
}

type Add = (name: string, body: Step) => void;

function eachOf(add: Add) {
  return (rows: readonly unknown[]) => (name: string, body: Body<readonly unknown[]>) => {
    for (const row of rows) {
      const list: readonly unknown[] = Array.isArray(row) ? row : [row];
      add(nameOf(name, list), () => body(...list));
    }
  };
}

/** `%s` and the like take the parts of a row in order, `$part` one of its first part by name. */
function nameOf(name: string, row: readonly unknown[]): string {
  const first = row[0];
  const values = new Map<string, unknown>(typeof first === 'object' && first !== null ? Object.entries(first) : []);
  const named = name.replaceAll(/\$(\w+)/g, (text, key: string) => (values.has(key) ? String(values.get(key)) : text));
  const count = named.match(/%[sdifjoO]/g)?.length ?? 0;
  return format(named, ...row.slice(0, count));
}

export const test = Object.assign(addTest, { each: eachOf(addTest) });
export const describe = Object.assign(addSuite, { each: eachOf(addSuite) });

export function beforeEach(step: Step): void {
  suite.before.push(step);
}

export function afterEach(step: Step): void {
  suite.after.push(step);
}

/** A file's tests are called again for the next mutant: what it takes down at the end stays until the process ends. */
export function afterAll(step: Step): void {
  process.once('exit', () => void step());
}
