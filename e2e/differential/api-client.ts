/** Talks to the API server through a process in its network namespace: this one cannot reach it. */
import { join } from 'node:path';
import type { Conversation } from '../../src/backends/exec.ts';
import { converse } from '../../src/backends/exec.ts';
import type { ApiAnswer, ApiPlace, ApiRequest } from './api-worker.ts';

export class ApiClient {
  readonly #worker: Conversation;
  readonly #waiting = new Map<number, (answer: ApiAnswer) => void>();
  /** A conversation keeps no event loop waiting, but an answer is worth waiting for. */
  readonly #wait = setInterval(() => undefined, 60_000);
  #count = 0;

  /** `netns`: one that reaches the server. */
  constructor(netns: string, place: ApiPlace) {
    const program = join(import.meta.dirname, 'api-worker.ts');
    const argv = ['nsenter', `--net=/run/netns/${netns}`, process.execPath, program, JSON.stringify(place)] as const;
    this.#worker = converse(argv, (line) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by api-worker.ts
      const answer = JSON.parse(line) as ApiAnswer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    void this.#worker.exited.then(() => {
      const body = 'the process that asks has ended';
      for (const [id, tell] of this.#waiting) tell({ id, status: 0, body, askedAt: '0', answeredAt: '0' });
    });
  }

  /** The answer's body; throws for every status but 2xx and those of `expected`. */
  async ask(
    method: ApiRequest['method'],
    path: string,
    body?: unknown,
    expected: readonly number[] = [],
  ): Promise<unknown> {
    return (await this.#send({ method, path, body }, expected)).body;
  }

  /** When it was asked and when the answer was there, by `performance.now()` of this process; throws for every status but 2xx. */
  async timed(request: Omit<ApiRequest, 'id'>): Promise<{ readonly askedAt: number; readonly answeredAt: number }> {
    const { askedAt, answeredAt } = await this.#send(request);
    return { askedAt: byOurClock(askedAt), answeredAt: byOurClock(answeredAt) };
  }

  async #send(request: Omit<ApiRequest, 'id'>, expected: readonly number[] = []): Promise<ApiAnswer> {
    this.#count += 1;
    const id = this.#count;
    const answer = await new Promise<ApiAnswer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker.write(`${JSON.stringify({ ...request, id } satisfies ApiRequest)}\n`);
    });
    const isWell = (answer.status >= 200 && answer.status < 300) || expected.includes(answer.status);
    if (!isWell) throw new Error(`${request.method} ${request.path}: ${answer.status} ${messageOf(answer.body)}`);
    return answer;
  }

  close(): void {
    clearInterval(this.#wait);
    this.#worker.kill();
  }
}

function messageOf(body: unknown): string {
  return typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : JSON.stringify(body);
}

function byOurClock(nanoseconds: string): number {
  return Number(BigInt(nanoseconds) - process.hrtime.bigint()) / 1e6 + performance.now();
}
