/** `npm run check`: types, lint, format, unused code, generated files. Runs all, prints what failed, fails when any did. */
import { join } from 'node:path';
import type { Argv } from '../src/backends/exec.ts';
import { spawnProcess } from '../src/backends/exec.ts';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

const steps: readonly { readonly name: string; readonly argv: Argv }[] = [
  { name: 'generated', argv: [process.execPath, join(root, 'scripts', 'generate.ts'), '--check'] },
  { name: 'types', argv: [bin('tsc'), '-p', root] },
  { name: 'lint', argv: [bin('oxlint'), '--type-aware', root] },
  { name: 'format', argv: [bin('biome'), 'format', root] },
  { name: 'unused', argv: [bin('knip'), '--directory', root, '--no-progress'] },
];

for (const { name, argv } of steps) {
  const started = performance.now();
  const { exitCode } = await spawnProcess(argv).exited;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`check: ${name.padEnd(10)} ${exitCode === 0 ? 'ok' : 'FAILED'} ${seconds} s`);
  if (exitCode !== 0) process.exitCode = 1;
}
