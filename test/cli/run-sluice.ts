/** Runs the command line as a child process, as people do. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Argv } from '../../src/backends/exec.ts';
import { spawnProcess } from '../../src/backends/exec.ts';

export const root = join(import.meta.dirname, '..', '..');
export const mainFile = join(root, 'src', 'main.ts');

export interface SluiceResult {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** `node src/main.ts ...`; examples/... may be named, because it runs in the project's root. */
export function runSluice(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<SluiceResult> {
  return runCommand([process.execPath, mainFile, ...args], environment);
}

export async function runCommand(
  argv: Argv,
  environment: Readonly<Record<string, string>> = {},
): Promise<SluiceResult> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
  const [stdout, stderr] = [join(directory, 'stdout'), join(directory, 'stderr')];
  try {
    const child = spawnProcess(argv, {
      stdout: { file: stdout },
      stderr: { file: stderr },
      cwd: root,
      // No agent of this machine may answer in the place of a test's own.
      env: { SLUICE_RUN_DIR: directory, ...environment },
    });
    const { exitCode } = await child.exited;
    return { exitCode, stdout: readFileSync(stdout, 'utf8'), stderr: readFileSync(stderr, 'utf8') };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
