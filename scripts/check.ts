/** `npm run check`: types, lint, format, unused code, generated files. Runs all, prints what failed, fails when any did. */
import { join } from 'node:path';
import { CommandError, run } from '../src/backends/exec.ts';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

const steps: readonly { readonly name: string; readonly argv: readonly [string, ...string[]] }[] = [
  { name: 'generated', argv: [process.execPath, join(root, 'scripts', 'generate.ts'), '--check'] },
  { name: 'types', argv: [bin('tsc'), '-p', root] },
  { name: 'lint', argv: [bin('oxlint'), '--type-aware', root] },
  { name: 'format', argv: [bin('biome'), 'format', root] },
  { name: 'unused', argv: [bin('knip'), '--directory', root, '--no-progress'] },
];

for (const { name, argv } of steps) {
  const started = performance.now();
  const failure = await failureOf(argv);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`check: ${name.padEnd(10)} ${failure === undefined ? 'ok' : 'FAILED'} ${seconds} s`);
  if (failure !== undefined) {
    console.log(failure);
    process.exitCode = 1;
  }
}

async function failureOf(argv: readonly [string, ...string[]]): Promise<string | undefined> {
  try {
    await run(argv, { timeoutMs: 300_000 });
    return undefined;
  } catch (error) {
    if (error instanceof CommandError) return `${error.stdout}${error.stderr}`;
    throw error;
  }
}
