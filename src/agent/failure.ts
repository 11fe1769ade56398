/** Which failures are tried again, and how they are told. */
import { RefusedError } from '../backends/backend.ts';
import { CommandError } from '../backends/exec.ts';

/** The machine or its kernel failed; anything else is a bug, and a bug ends the process. */
export function isEnvironmentFailure(error: unknown): boolean {
  return error instanceof CommandError || error instanceof RefusedError;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The machine lacks something that the agent cannot do without. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}
