/** Long connections between the pods of a lab: what arrived of each, and when. */
import { join } from 'node:path';
import { CommandError, streamLines } from '../../src/backends/exec.ts';
import type { TalkEvent, TalkKind, TalkOrder } from './talk-worker.ts';

export interface TalkPlan {
  /** Name of a network namespace. */
  readonly netns: string;
  readonly order: TalkOrder;
  readonly ping?: { readonly id: string; readonly address: string };
}

/** What is known of one connection. */
export class Talk {
  readonly times: number[] = [];
  readonly sequences: number[] = [];
  /** Why it ended, if it did. */
  end: string | undefined;

  note({ at, sequence, end }: TalkEvent): void {
    if (sequence === undefined) this.end = end ?? 'ended';
    else {
      this.times.push(at);
      this.sequences.push(sequence);
    }
  }

  /** The last message that came before `until`, in milliseconds after `since`; negative: none since then. */
  lastAfter(since: number, until: number): number {
    return (this.times.filter((at) => at <= until).at(-1) ?? 0) - since;
  }

  /** The longest silence between two messages from `since` on. */
  longestPause(since: number): number {
    const times = [since, ...this.times.filter((at) => at > since), Date.now()];
    return Math.max(...times.map((at, index) => at - (times[index - 1] ?? at)));
  }

  /** Since the first message nothing was lost, and nothing came twice. */
  get isComplete(): boolean {
    const [first = 0] = this.sequences;
    return this.end === undefined && this.sequences.every((sequence, index) => sequence === first + index);
  }
}

/** One process for each namespace; all of them end with `stop`. */
export class Talks {
  readonly #talks = new Map<string, Talk>();
  readonly #controller = new AbortController();
  readonly #workers: readonly Promise<void>[];

  constructor(plans: readonly TalkPlan[]) {
    for (const { order, ping } of plans) {
      for (const { id } of order.connect) this.#talks.set(id, new Talk());
      if (ping !== undefined) this.#talks.set(ping.id, new Talk());
    }
    this.#workers = plans.flatMap((plan) => [this.#followWorker(plan), this.#followPing(plan)]);
  }

  get ids(): readonly string[] {
    return [...this.#talks.keys()];
  }

  of(id: string): Talk {
    const talk = this.#talks.get(id);
    if (talk === undefined) throw new Error(`no connection ${id}`);
    return talk;
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await Promise.all(this.#workers);
  }

  #followWorker({ netns, order }: TalkPlan): Promise<void> {
    const worker = join(import.meta.dirname, 'talk-worker.ts');
    return this.#follow(netns, [process.execPath, worker, JSON.stringify(order)], (line) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by talk-worker.ts
      const event = JSON.parse(line) as TalkEvent;
      this.#talks.get(event.id)?.note(event);
    });
  }

  async #followPing({ netns, ping }: TalkPlan): Promise<void> {
    if (ping === undefined) return;
    const { id, address } = ping;
    await this.#follow(netns, ['perl', join(import.meta.dirname, 'ping.pl'), address], (line) => {
      this.of(id).note({ id, at: Date.now(), sequence: Number(line) });
    });
  }

  async #follow(netns: string, argv: readonly string[], note: (line: string) => void): Promise<void> {
    try {
      for await (const line of streamLines(['ip', 'netns', 'exec', netns, ...argv], this.#controller.signal))
        note(line);
    } catch (error) {
      if (!(error instanceof CommandError && this.#controller.signal.aborted)) throw error;
    }
  }
}

/** Where each kind is listened for. */
export const talkPorts: Readonly<Record<TalkKind, number>> = { client: 9000, server: 9001, udp: 9002 };

export const listenForAll: TalkOrder['listen'] = [
  { port: talkPorts.client, kind: 'client' },
  { port: talkPorts.server, kind: 'server' },
  { port: talkPorts.udp, kind: 'udp' },
];
