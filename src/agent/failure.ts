/** Which failures are tried again, and how they are told. */
import { RefusedError } from '../backends/backend.ts';
import { CommandError } from '../backends/exec.ts';
import { ConfigError } from '../config/config-error.ts';
import { KubeApiError, KubeConfigError } from '../kube/kube-api-error.ts';
import { ManifestError } from '../manifests/manifest-error.ts';
import { AddressInUseError } from '../server/listen.ts';

/** The machine or its kernel failed; anything else is a bug, and a bug ends the process. */
export function isEnvironmentFailure(error: unknown): boolean {
  return error instanceof CommandError || error instanceof RefusedError;
}

/** Where the agent is run is not as it must be: the message says it all, and a stack would only hide it. */
export function isForPeople(error: unknown): boolean {
  const kinds = [ConfigError, KubeConfigError, KubeApiError, ManifestError, AddressInUseError, MachineError];
  return kinds.some((kind) => error instanceof kind);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The machine lacks something that the agent cannot do without. */
export class MachineError extends Error {
  override readonly name = 'MachineError';
}
