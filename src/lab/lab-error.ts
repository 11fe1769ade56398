/** Why a lab could not do what it was asked; the command line makes an exit code of `problem`. */
export type LabProblem =
  /** Bad arguments or manifests, an overlap, a name that is taken (exit 2). */
  | 'input'
  /** The machine lacks something: root, a program, a kernel feature (exit 3). */
  | 'machine'
  /** Nothing there to ask: no such lab (exit 4). */
  | 'absent'
  /** Our own failure (exit 1). */
  | 'failure';

export class LabError extends Error {
  override readonly name = 'LabError';
  readonly problem: LabProblem;

  constructor(problem: LabProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.problem = problem;
  }
}
