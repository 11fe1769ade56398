/** What the shell learns. A refused connection is an answer, not a failure. */
export const exitCodes = {
  done: 0,
  /** An expectation was not met, or a failure of ours. */
  failed: 1,
  /** Manifests, arguments or configuration; what was good is still printed. */
  badInput: 2,
  /** The machine lacks something: root, a program, a kernel feature. */
  missing: 3,
  /** Cluster or agent. */
  unreachable: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A command cannot go on; `message` is for the person at the terminal. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
