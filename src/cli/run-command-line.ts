/** Runs one command line and makes an exit code of whatever comes of it. */
import { CommanderError } from 'commander';
import { ConfigError } from '../config/config-error.ts';
import { CliError, exitCodes } from './exit-code.ts';
import type { ExitCode } from './exit-code.ts';
import { processIo } from './io.ts';
import type { AddCommand } from './program.ts';
import { createProgram } from './program.ts';

/** The exit code. `others`: commands besides those of a node. */
export async function runCommandLine(argv: readonly string[], others: readonly AddCommand[]): Promise<number> {
  const io = processIo();
  try {
    await createProgram(io, others).parseAsync(argv, { from: 'user' });
    return io.passedExitCode ?? io.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.badInput;
    const { exitCode, lines } = await explainFailure(error);
    for (const line of lines) io.error(`sluice: ${line}\n`);
    return exitCode;
  }
}

interface Failure {
  readonly exitCode: ExitCode;
  readonly lines: readonly string[];
}

/** Expected failures are one clear message; a bug is a stack. */
export async function explainFailure(error: unknown): Promise<Failure> {
  if (error instanceof ConfigError) return { exitCode: exitCodes.badInput, lines: error.problems };
  if (error instanceof CliError) return { exitCode: error.exitCode, lines: [error.message] };
  const expected = error instanceof Error ? await expectedFailure(error) : undefined;
  if (expected !== undefined) return expected;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { exitCode: exitCodes.failed, lines: [`this is a bug: ${text}`] };
}

/** Their modules are loaded only now: most commands need none of them, and start faster so. */
async function expectedFailure(error: Error): Promise<Failure | undefined> {
  const [
    { CommandError },
    { RefusedError },
    { LabError },
    { ManifestError },
    { AddressInUseError },
    { MachineError },
    kube,
  ] = await Promise.all([
    import('../backends/exec.ts'),
    import('../backends/backend.ts'),
    import('../lab/lab-error.ts'),
    import('../manifests/manifest-error.ts'),
    import('../server/listen.ts'),
    import('../agent/failure.ts'),
    import('../kube/kube-api-error.ts'),
  ]);
  const lines = [error.message];
  if (error instanceof CommandError) {
    return { exitCode: error.isMissing ? exitCodes.missing : exitCodes.failed, lines };
  }
  if (error instanceof RefusedError) {
    return { exitCode: exitCodes.failed, lines: [`the kernel refused a write: ${error.message}`] };
  }
  if (error instanceof LabError) return { exitCode: labExitCodes[error.problem], lines };
  if (error instanceof MachineError) return { exitCode: exitCodes.missing, lines };
  if (error instanceof kube.KubeConfigError) return { exitCode: exitCodes.badInput, lines };
  if (error instanceof kube.KubeApiError) return { exitCode: exitCodes.unreachable, lines };
  if (error instanceof ManifestError) return { exitCode: exitCodes.badInput, lines };
  return error instanceof AddressInUseError ? { exitCode: exitCodes.failed, lines } : undefined;
}

const labExitCodes = {
  input: exitCodes.badInput,
  machine: exitCodes.missing,
  absent: exitCodes.unreachable,
  failure: exitCodes.failed,
} as const;
