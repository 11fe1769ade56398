/** UDP clients that never change their port: conntrack takes all that they send for one flow. */
import { join } from 'node:path';
import { streamLines } from '../../src/backends/exec.ts';
import type { AskAnswer, AskOrder } from './ask-worker.ts';

interface Heard {
  readonly at: number;
  readonly pod: string;
}

/** One process for each network namespace; all of them end with `stop`. */
export class Asking {
  readonly #heard = new Map<string, Heard[]>();
  readonly #controller = new AbortController();
  readonly #workers: readonly Promise<void>[];

  constructor(orders: Readonly<Record<string, readonly AskOrder[]>>) {
    for (const { id } of Object.values(orders).flat()) this.#heard.set(id, []);
    this.#workers = Object.entries(orders).map(([netns, own]) => this.#follow(netns, own));
  }

  /** Who answered in the last so many milliseconds, each once; empty: nobody. */
  lately(id: string, withinMs = 300): readonly string[] {
    const since = Date.now() - withinMs;
    const recent = this.#of(id).filter(({ at }) => at >= since);
    return [...new Set(recent.map(({ pod }) => pod))].toSorted();
  }

  /** Who ever answered. */
  ever(id: string): readonly string[] {
    return [...new Set(this.#of(id).map(({ pod }) => pod))].toSorted();
  }

  /** The longest time without an answer, between two of them. */
  longestPause(id: string): number {
    const times = this.#of(id).map(({ at }) => at);
    return Math.max(0, ...times.slice(1).map((at, index) => at - (times[index] ?? at)));
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#workers);
  }

  #of(id: string): readonly Heard[] {
    const heard = this.#heard.get(id);
    if (heard === undefined) throw new Error(`nobody asks ${id}`);
    return heard;
  }

  async #follow(netns: string, orders: readonly AskOrder[]): Promise<void> {
    const argv = ['ip', 'netns', 'exec', netns, process.execPath, join(import.meta.dirname, 'ask-worker.ts')] as const;
    for await (const line of streamLines([...argv, JSON.stringify(orders)], this.#controller.signal)) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by ask-worker.ts
      const { id, pod } = JSON.parse(line) as AskAnswer;
      this.#heard.get(id)?.push({ at: Date.now(), pod });
    }
  }
}
