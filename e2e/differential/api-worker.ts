/** Runs in the network namespace of the API server: one request a line on standard input, one answer a line on standard output. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';

export interface ApiRequest {
  readonly id: number;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** Of the body. Default: a merge patch for PATCH, else JSON. */
  readonly type?: string;
}

export interface ApiAnswer {
  readonly id: number;
  /** When it was asked, and when the whole answer was there: nanoseconds of the clock that all processes of a machine share. */
  readonly askedAt: string;
  readonly answeredAt: string;
  /** 0: the server could not be asked. */
  readonly status: number;
  readonly body: unknown;
}

export interface ApiPlace {
  readonly url: string;
  readonly caFile: string;
  readonly token: string;
}

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by api-client.ts
  const place = JSON.parse(process.argv[2] ?? '') as ApiPlace;
  const dispatcher = new Agent({ connect: { ca: readFileSync(place.caFile, 'utf8') }, connections: 16 });
  createInterface({ input: process.stdin }).on('line', (line) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by api-client.ts
    void answer(place, dispatcher, JSON.parse(line) as ApiRequest);
  });
}

async function answer(place: ApiPlace, dispatcher: Agent, asked: ApiRequest): Promise<void> {
  const { id, method, path, body } = asked;
  const { type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' } = asked;
  const askedAt = now();
  try {
    const response = await request(`${place.url}${path}`, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${place.token}`, 'content-type': type },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answered = await response.body.json();
    tell({ id, askedAt, answeredAt: now(), status: response.statusCode, body: answered });
  } catch (error) {
    tell({ id, askedAt, answeredAt: now(), status: 0, body: String(error) });
  }
}

function now(): string {
  return String(process.hrtime.bigint());
}

function tell(said: ApiAnswer): void {
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
