/** Paths to look at, each at its time. */
export class DuePaths {
  readonly #due = new Map<string, number>();
  #wake: () => void = () => {};

  /** An earlier time wins over a later one. */
  mark(path: string, dueAt: number): void {
    this.#due.set(path, Math.min(dueAt, this.#due.get(path) ?? dueAt));
    this.#wake();
  }

  /** Waits until something is due and takes all that is; empty when `signal` aborts. */
  async take(signal: AbortSignal): Promise<readonly string[]> {
    while (!signal.aborted) {
      const now = performance.now();
      const ready = [...this.#due].filter(([, dueAt]) => dueAt <= now).map(([path]) => path);
      for (const path of ready) this.#due.delete(path);
      if (ready.length > 0) return ready;
      await this.#sleep(Math.min(...this.#due.values()) - now, signal);
    }
    return [];
  }

  /** Until the time is over, something is marked or `signal` aborts. */
  async #sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = Number.isFinite(milliseconds) ? setTimeout(resolve, Math.ceil(milliseconds)) : undefined;
    const wake = () => resolve();
    signal.addEventListener('abort', wake);
    await promise;
    signal.removeEventListener('abort', wake);
    clearTimeout(timer);
  }
}
