/** What /readyz asks: the parts of the agent that must work, and why one does not. */
export interface PartStatus {
  readonly part: string;
  /** Absent: ready. */
  readonly reason?: string;
}

export class Readiness {
  readonly #reasons = new Map<string, string | undefined>();

  /** The parts start unready, in the order in which they are shown. */
  constructor(parts: readonly string[]) {
    for (const part of parts) this.#reasons.set(part, 'not started yet');
  }

  ready(part: string): void {
    this.#reasons.set(part, undefined);
  }

  /** `reason` is one sentence for the person who looks at /readyz. */
  unready(part: string, reason: string): void {
    this.#reasons.set(part, reason);
  }

  get isReady(): boolean {
    return [...this.#reasons.values()].every((reason) => reason === undefined);
  }

  get parts(): readonly PartStatus[] {
    return [...this.#reasons].map(([part, reason]) => (reason === undefined ? { part } : { part, reason }));
  }
}
