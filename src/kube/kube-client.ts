/** HTTP to one API server: credentials, time limits, and errors by what can be done about them. */
import type { IncomingMessage } from 'node:http';
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { RequestOptions } from 'node:https';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { recordOf, textOf } from './api-object.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { connectionError, statusError } from './failures.ts';
import { KubeApiError } from './kube-api-error.ts';

export interface KubeClientOptions {
  readonly access: ClusterAccess;
  /** `sluice/0.1.0` */
  readonly userAgent: string;
  /** A server that has not begun to answer by then is taken to be gone. */
  readonly answerMs?: number;
  /** A body that has been silent for so long is taken to be cut off. Bookmarks come about once a minute. */
  readonly silenceMs?: number;
}

export interface KubeRequest {
  readonly method?: 'GET' | 'POST' | 'PATCH';
  /** `/api/v1/pods` */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: { readonly type: string; readonly text: string };
}

const pooling = { keepAlive: true, timeout: 2000 };
/** After so long the kernel asks whether the other end is still there, ten times, a second apart. */
const probeMs = 20_000;

/** Keep connections with different certificates apart by themselves. */
interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

export class KubeClient {
  readonly #access: ClusterAccess;
  readonly #userAgent: string;
  readonly #answerMs: number;
  readonly #silenceMs: number;
  /** For the pages of a list. One that waited for longer may lead nowhere by now. */
  readonly #pooled = { http: new HttpAgent(pooling), https: new HttpsAgent(pooling) };
  /** For watches, that are long and rare: nothing that happened to an older connection has to do with them. */
  readonly #fresh = { http: new HttpAgent(), https: new HttpsAgent() };

  constructor({ access, userAgent, answerMs = 30_000, silenceMs = 90_000 }: KubeClientOptions) {
    this.#access = access;
    this.#userAgent = userAgent;
    this.#answerMs = answerMs;
    this.#silenceMs = silenceMs;
  }

  get server(): string {
    return this.#access.server;
  }

  /** The body of a 2xx answer, as it comes. Rejects with KubeApiError, or KubeConfigError where there is nothing to show. */
  open(asked: KubeRequest, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    return this.#ask(asked, this.#fresh, signal);
  }

  /** The whole answer, parsed. */
  async json(asked: KubeRequest, signal: AbortSignal): Promise<unknown> {
    const text = await textFrom(await this.#ask(asked, this.#pooled, signal));
    try {
      return JSON.parse(text);
    } catch (error) {
      const message = `${asked.path}: the answer is not JSON, expected an API server at ${this.server}`;
      throw new KubeApiError(message, { failure: 'failed', cause: error });
    }
  }

  /** Ends idle connections. */
  close(): void {
    for (const agents of [this.#pooled, this.#fresh]) for (const agent of Object.values(agents)) agent.destroy();
  }

  async #ask(asked: KubeRequest, agents: Agents, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const first = await this.#send(asked, agents, signal);
    if (first.statusCode !== 401) return this.#bodyOf(first);
    // Tokens are replaced while we run: what we showed may have been the one before.
    first.resume();
    this.#access.forget();
    return this.#bodyOf(await this.#send(asked, agents, signal));
  }

  async #send(
    { method = 'GET', path, query = {}, body }: KubeRequest,
    agents: Agents,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { tls, headers } = await this.#access.credentials();
    const search = new URLSearchParams(query).toString();
    const url = new URL(`${this.server}${path}${search === '' ? '' : `?${search}`}`);
    const isPlain = url.protocol === 'http:';
    const options: RequestOptions = {
      method,
      agent: isPlain ? agents.http : agents.https,
      ...(isPlain ? {} : tls),
      signal,
      timeout: this.#answerMs,
      headers: {
        accept: 'application/json',
        'user-agent': this.#userAgent,
        ...(body === undefined ? {} : { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) }),
        ...headers,
      },
    };
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(connectionError(error, this.server));
      try {
        const sent = (isPlain ? httpRequest : httpsRequest)(url, options, (response) => {
          sent.removeAllListeners('timeout');
          sent.on('timeout', () => response.destroy(new KubeApiError('silent for too long', { failure: 'silent' })));
          resolve(response);
        });
        sent.once('socket', (socket) => socket.setKeepAlive(true, probeMs));
        sent.once('timeout', () => sent.destroy(new Error(`no answer within ${this.#answerMs / 1000} s`)));
        sent.on('error', fail);
        sent.end(body?.text);
      } catch (error) {
        // Certificates and keys that cannot be parsed.
        fail(error);
      }
    });
  }

  async #bodyOf(response: IncomingMessage): Promise<AsyncIterable<Buffer>> {
    response.socket.setTimeout(this.#silenceMs);
    const body = this.#pieces(response);
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return body;
    const answer = parsedStatus(await textFrom(body));
    throw statusError(status, textOf(answer['message']) ?? response.statusMessage ?? '', {
      header: response.headers['retry-after'],
      details: recordOf(answer['details'])['retryAfterSeconds'],
    });
  }

  async *#pieces(response: IncomingMessage): AsyncGenerator<Buffer, void, void> {
    try {
      for await (const piece of response) if (Buffer.isBuffer(piece)) yield piece;
    } catch (error) {
      throw connectionError(error, this.server);
    }
  }
}

async function textFrom(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

/** The Status object of a refusal; proxies in between answer with other things. */
function parsedStatus(text: string): Readonly<Record<string, unknown>> {
  try {
    return recordOf(JSON.parse(text));
  } catch {
    return {};
  }
}
