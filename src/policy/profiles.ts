/** Which profiles the endpoints use, and which came and went since they were last asked for. */
export class ProfileCounter {
  readonly #counts = new Map<string, number>();
  /** Profiles counted since the last `takeChanges`: whether they were in use then. */
  readonly #usedBefore = new Map<string, boolean>();

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** One endpoint changes from using `before` to using `after`. */
  move(before: readonly string[], after: readonly string[]): void {
    for (const profile of after) this.#count(profile, 1);
    for (const profile of before) this.#count(profile, -1);
  }

  /** true: appeared, false: gone. */
  takeChanges(): ReadonlyMap<string, boolean> {
    const changes = new Map<string, boolean>();
    for (const [profile, used] of this.#usedBefore) {
      if (this.#counts.has(profile) !== used) changes.set(profile, !used);
    }
    this.#usedBefore.clear();
    return changes;
  }

  #count(profile: string, by: 1 | -1): void {
    if (!this.#usedBefore.has(profile)) this.#usedBefore.set(profile, this.#counts.has(profile));
    const count = (this.#counts.get(profile) ?? 0) + by;
    if (count === 0) this.#counts.delete(profile);
    else this.#counts.set(profile, count);
  }
}
