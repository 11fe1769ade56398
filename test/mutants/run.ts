/**
 * `npm run test:mutants`: switches every mechanism of the tables beside this file off, one at a time and in a copy of the tree, and runs
 * the test that must notice. Prints `mechanism -> failing test`. A mechanism that nobody misses, or one that is not where its table says,
 * fails the run.
 * `--quick`: the short list of the continuous check. `--only TEXT`: those whose promise, mechanism or file has the text.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CommandError, run } from '../../src/backends/exec.ts';
import { agentMutants } from './agent-mutants.ts';
import { decisionMutants } from './decision-mutants.ts';
import type { Mutant } from './mutant.ts';
import { mutants } from './mutants.ts';
import { orderMutants } from './order-mutants.ts';
import { readerMutants } from './reader-mutants.ts';

const root = join(import.meta.dirname, '..', '..');
const { values } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } });
const chosen = [...mutants, ...orderMutants, ...agentMutants, ...decisionMutants, ...readerMutants].filter(
  ({ quick, promise, mechanism, file }) =>
    (values.quick !== true || quick === true) && `${promise} ${mechanism} ${file}`.includes(values.only ?? ''),
);
if (chosen.length === 0) throw new Error('no mechanism was chosen');
const copy = await copyTree();
let failures = 0;
try {
  const files = [...new Set(chosen.map(({ test }) => test))];
  const broken = await failedTests(files);
  if (broken.length > 0) throw new Error(`with every mechanism on, these fail already: ${broken.join('; ')}`);
  for (const mutant of chosen) {
    const problem = await problemOf(mutant);
    if (problem !== undefined) failures += 1;
  }
} finally {
  await rm(copy, { recursive: true });
}
say(`${chosen.length - failures} passed, ${failures} failed, 0 skipped`);
process.exit(failures === 0 ? 0 : 1);

/** Nothing is ever changed in the tree itself. */
async function copyTree(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-mutants-'));
  for (const name of [
    'src',
    'test',
    'scripts',
    'examples',
    'bin',
    'docs',
    'package.json',
    'tsconfig.json',
    'vitest.config.ts',
  ])
    await cp(join(root, name), join(directory, name), { recursive: true });
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

/** Undefined: the test noticed. */
async function problemOf(mutant: Mutant): Promise<string | undefined> {
  const file = join(copy, mutant.file);
  const text = await readFile(file, 'utf8');
  const [from, to] = mutant.off;
  const told = `${mutant.promise}: ${mutant.mechanism}`;
  const times = text.split(from).length - 1;
  if (times !== 1) return tell(told, `NOT THERE: ${mutant.file} holds the text ${times} times, expected once`);
  await writeFile(
    file,
    text.replace(from, () => to),
  );
  try {
    const failed = await failedTests([mutant.test]);
    if (failed.length === 0) return tell(told, `SURVIVED ${mutant.test}`);
    const expected = failed.find((name) => name.includes(mutant.killedBy ?? ''));
    if (expected === undefined) return tell(told, `noticed by ${failed[0]}, but not by "${mutant.killedBy}"`);
    say(`ok    ${told}\n      -> ${mutant.test}: ${expected}`);
    return undefined;
  } finally {
    await writeFile(file, text);
  }
}

function tell(told: string, problem: string): string {
  say(`FAIL  ${told}\n      -> ${problem}`);
  return problem;
}

interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** A file that does not even load has noticed nothing: the mutant is no working program. */
async function failedTests(files: readonly string[]): Promise<readonly string[]> {
  const output = join(copy, 'report.json');
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const argv = [process.execPath, vitest, 'run', '--root', copy, '--project', 'unit', '--retry=0'] as const;
  try {
    await run([...argv, '--reporter=json', `--outputFile=${output}`, ...files], { timeoutMs: 300_000 });
    return [];
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- vitest wrote it
    const report = JSON.parse(await readFile(output, 'utf8').catch(() => '{"testResults":[]}')) as Report;
    const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    if (failed.length === 0)
      throw new Error(`${files.join(' ')} did not run: ${error.message.slice(0, 2000)}`, { cause: error });
    return failed;
  } finally {
    await rm(output, { force: true });
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
