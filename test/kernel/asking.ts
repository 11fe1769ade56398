/** Clients that ask all the time: over UDP by a port that never changes, which conntrack takes for one flow; over TCP by one connection after another. */
import { join } from 'node:path';
import { streamLines } from '../../src/backends/exec.ts';
import type { AskAnswer, AskOrder } from './ask-worker.ts';
import type { KnockAnswer } from './knock-worker.ts';

interface Heard {
  readonly at: number;
  readonly pod: string;
}

export type Way = 'udp' | 'tcp';

const workers: Readonly<Record<Way, string>> = { udp: 'ask-worker.ts', tcp: 'knock-worker.ts' };

/** One process for each network namespace; all of them end with `stop`. */
export class Asking {
  readonly #heard = new Map<string, Heard[]>();
  readonly #failures: string[] = [];
  readonly #way: Way;
  readonly #controller = new AbortController();
  readonly #workers: readonly Promise<void>[];

  /** By network namespace. */
  constructor(orders: Readonly<Record<string, readonly AskOrder[]>>, way: Way = 'udp') {
    this.#way = way;
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

  /** Connections that nobody answered. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  count(id: string): number {
    return this.#of(id).length;
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
    const worker = join(import.meta.dirname, workers[this.#way]);
    const argv = ['ip', 'netns', 'exec', netns, process.execPath, worker] as const;
    for await (const line of streamLines([...argv, JSON.stringify(orders)], this.#controller.signal)) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the workers
      const { id, pod, failure } = JSON.parse(line) as AskAnswer & KnockAnswer;
      if (failure === undefined) this.#heard.get(id)?.push({ at: Date.now(), pod });
      else this.#failures.push(`${id}: ${failure}`);
    }
  }
}
