/** One mechanism, and how to switch it off. */
export interface Mutant {
  /** A number: invariant of docs/architecture.md's list; a word: what the promise is about. */
  readonly promise: string;
  readonly mechanism: string;
  readonly file: string;
  /** Text that is there exactly once, and what stands there when the mechanism is off. */
  readonly off: readonly [from: string, to: string];
  readonly test: string;
  /** Part of the name of a test that must fail. Default: any of the file. */
  readonly killedBy?: string;
  /** Also in the short run of the continuous check. */
  readonly quick?: true;
}
