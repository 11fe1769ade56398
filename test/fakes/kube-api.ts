/** A strict API server on loopback, over real HTTP or HTTPS: lists, watches, and every way in which they fail. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Socket } from 'node:net';
import type { Accepts, NewObject, StoredObject } from './kube-store.ts';
import { KubeStore, Refused } from './kube-store.ts';

export interface FakeKubeApiOptions {
  /** PEM. Absent: plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Tokens that are accepted. Absent: everybody is. */
  readonly tokens?: readonly string[];
  readonly paths?: readonly string[];
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly at: number;
  readonly body: string;
}

/** An answer that is given instead of the right one, to the first request it fits. */
export interface PlannedFailure {
  readonly path: string;
  readonly kind: 'list' | 'watch';
  readonly status: number;
  readonly retryAfter?: string;
}

interface OpenWatch {
  readonly path: string;
  readonly response: ServerResponse;
  readonly accepts: Accepts;
  readonly withBookmarks: boolean;
  sent: number;
  isFrozen: boolean;
}

export const everyPath: readonly string[] = [
  '/api/v1/namespaces',
  '/api/v1/nodes',
  '/api/v1/pods',
  '/api/v1/services',
  '/apis/networking.k8s.io/v1/networkpolicies',
  '/apis/networking.k8s.io/v1/servicecidrs',
  '/apis/discovery.k8s.io/v1/endpointslices',
];

export class FakeKubeApi {
  readonly store = new KubeStore();
  readonly seen: SeenRequest[] = [];
  readonly forbidden = new Set<string>();
  readonly failures: PlannedFailure[] = [];
  /** Events that were written, by `namespace/name`. */
  readonly events = new Map<string, Readonly<Record<string, unknown>>>();
  tokens: ReadonlySet<string> | undefined;
  /** Pieces that a body is written in; small ones cut lines and characters apart. */
  pieceBytes = 64 * 1024;
  /** Bodies of lists are written so slowly. */
  pieceDelayMs = 0;
  /** A watch that is too old is refused by its status, as behind an aggregator; else by an event. */
  isExpiryStatus = false;
  readonly #paths: ReadonlySet<string>;
  readonly #server: ReturnType<typeof createServer>;
  readonly #isSecure: boolean;
  readonly #sockets = new Set<Socket>();
  readonly #watches = new Set<OpenWatch>();

  private constructor({ tls, tokens, paths = everyPath }: FakeKubeApiOptions) {
    this.#paths = new Set(paths);
    this.#isSecure = tls !== undefined;
    this.tokens = tokens === undefined ? undefined : new Set(tokens);
    const answer = (request: IncomingMessage, response: ServerResponse): void => void this.#answer(request, response);
    this.#server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    this.store.onChange(() => this.#send());
  }

  static async start(options: FakeKubeApiOptions = {}): Promise<FakeKubeApi> {
    const api = new FakeKubeApi(options);
    await api.listen(0);
    return api;
  }

  get port(): number {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#isSecure ? 'https' : 'http'}://127.0.0.1:${this.port}`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, '127.0.0.1', () => resolve()));
  }

  /** As if the process died: every connection breaks. `listen` with the same port brings it back. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  get openWatches(): readonly string[] {
    return [...this.#watches].map(({ path }) => path);
  }

  /** Connections of watches break in the middle. */
  cutWatches(path?: string): void {
    for (const watch of this.#chosen(path)) watch.response.socket?.destroy();
  }

  /** Watches end as their timeoutSeconds would. */
  endWatches(path?: string): void {
    for (const watch of this.#chosen(path)) watch.response.end();
  }

  /** The connection stays, and nothing ever comes by it again. */
  freezeWatches(path?: string): void {
    for (const watch of this.#chosen(path)) watch.isFrozen = true;
  }

  sendBookmarks(path?: string): void {
    for (const watch of this.#chosen(path)) {
      if (!watch.withBookmarks || watch.isFrozen) continue;
      const metadata = { resourceVersion: String(this.store.version) };
      watch.sent = this.store.version;
      void this.#write(watch.response, `${JSON.stringify({ type: 'BOOKMARK', object: { metadata } })}\n`);
    }
  }

  /** An event that is no change. */
  sendError(path: string, code: number, reason: string, retryAfterSeconds?: number): void {
    const status = statusOf(new Refused(code, reason, `planned: ${reason}`), retryAfterSeconds);
    for (const watch of this.#chosen(path))
      watch.response.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
  }

  lists(path: string): readonly SeenRequest[] {
    return this.seen.filter((one) => one.path === path && one.query.get('watch') !== 'true' && one.method === 'GET');
  }

  watches(path: string): readonly SeenRequest[] {
    return this.seen.filter((one) => one.path === path && one.query.get('watch') === 'true');
  }

  #chosen(path: string | undefined): readonly OpenWatch[] {
    return [...this.#watches].filter((watch) => path === undefined || watch.path === path);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://fake');
    const query = url.searchParams;
    const seen = { method: request.method ?? '', path: url.pathname, query, at: performance.now() };
    const body = await bodyOf(request);
    this.seen.push({ ...seen, body });
    response.on('error', () => undefined);
    try {
      if (request.method === 'POST') {
        this.#post(url.pathname, request, body);
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(body);
        return;
      }
      const isWatch = query.get('watch') === 'true';
      this.#admit(request, url.pathname, isWatch);
      if (isWatch) this.#watch(url.pathname, query, response);
      else await this.#list(url.pathname, query, response);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const seconds = error instanceof PlannedRefusal ? error.retryAfter : undefined;
      if (seconds !== undefined) response.setHeader('retry-after', seconds);
      response.writeHead(error.code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(statusOf(error)));
    }
  }

  #admit(request: IncomingMessage, path: string, isWatch: boolean): void {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (this.tokens !== undefined && (token === undefined || !this.tokens.has(token))) {
      throw new Refused(401, 'Unauthorized', 'Unauthorized');
    }
    if (request.headers.accept !== 'application/json')
      throw new Refused(406, 'NotAcceptable', 'only JSON is spoken here');
    const planned = this.failures.findIndex((one) => one.path === path && (one.kind === 'watch') === isWatch);
    const [failure] = planned < 0 ? [] : this.failures.splice(planned, 1);
    if (failure !== undefined) throw new PlannedRefusal(failure);
    if (this.forbidden.has(path))
      throw new Refused(403, 'Forbidden', `${path} is forbidden: User "fake" cannot list it`);
    if (!this.#paths.has(path)) throw new Refused(404, 'NotFound', 'the server could not find the requested resource');
  }

  /** An Event of events.k8s.io/v1, by the rules of the real one's validation. */
  #post(path: string, request: IncomingMessage, body: string): void {
    const namespace = /^\/apis\/events\.k8s\.io\/v1\/namespaces\/([^/]+)\/events$/.exec(path)?.[1];
    if (namespace === undefined) throw new Refused(405, 'MethodNotAllowed', 'only events are written');
    if (this.forbidden.has('events')) throw new Refused(403, 'Forbidden', 'events is forbidden');
    if (request.headers['content-type'] !== 'application/json') throw new Refused(415, 'UnsupportedMediaType', 'JSON');
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every field is looked at below
    const event = JSON.parse(body) as Readonly<Record<string, unknown>> & {
      metadata?: { name?: string; namespace?: string };
    };
    const name = event.metadata?.name ?? '';
    if (event.metadata?.namespace !== namespace || !isValidEvent(event, name)) {
      throw new Refused(422, 'Invalid', `Event is invalid: ${body}`);
    }
    if (this.events.has(`${namespace}/${name}`))
      throw new Refused(409, 'AlreadyExists', `events "${name}" already exists`);
    this.events.set(`${namespace}/${name}`, event);
  }

  async #list(path: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const limit = wholeNumber(query, 'limit') ?? 0;
    const token = query.get('continue') ?? undefined;
    if (token !== undefined && query.get('resourceVersion') !== null) {
      throw new Refused(400, 'BadRequest', 'specifying resource version is not allowed when using continue');
    }
    const { items, version, continueToken } = this.store.list(path, acceptsOf(path, query), limit, token);
    const metadata = {
      resourceVersion: String(version),
      ...(continueToken === undefined ? {} : { continue: continueToken }),
    };
    response.writeHead(200, { 'content-type': 'application/json' });
    await this.#write(response, JSON.stringify({ kind: 'List', apiVersion: 'v1', metadata, items }), this.pieceDelayMs);
    response.end();
  }

  #watch(path: string, query: URLSearchParams, response: ServerResponse): void {
    const version = wholeNumber(query, 'resourceVersion');
    if (version === undefined) throw new Refused(400, 'BadRequest', 'a watch without resourceVersion begins anywhere');
    const accepts = acceptsOf(path, query);
    const withBookmarks = query.get('allowWatchBookmarks') === 'true';
    const watch: OpenWatch = { path, response, accepts, withBookmarks, sent: version, isFrozen: false };
    try {
      this.store.check(version);
    } catch (error) {
      if (!(error instanceof Refused) || (error.code === 410 && this.isExpiryStatus) || error.code !== 410) throw error;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(error) })}\n`);
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    this.#watches.add(watch);
    const seconds = wholeNumber(query, 'timeoutSeconds');
    const timer = seconds === undefined ? undefined : setTimeout(() => response.end(), seconds * 1000);
    response.on('close', () => {
      clearTimeout(timer);
      this.#watches.delete(watch);
    });
    this.#send();
  }

  /** What each watch does not have yet. */
  #send(): void {
    for (const watch of this.#watches) {
      if (watch.isFrozen || watch.response.writableEnded) continue;
      const events = this.store.since(watch.path, watch.sent, watch.accepts);
      watch.sent = this.store.version;
      const text = events.map(({ type, object }) => `${JSON.stringify({ type, object })}\n`).join('');
      if (text !== '') void this.#write(watch.response, text);
    }
  }

  async #write(response: ServerResponse, text: string, delayMs = 0): Promise<void> {
    const bytes = Buffer.from(text);
    for (let start = 0; start < bytes.length; start += this.pieceBytes) {
      response.write(bytes.subarray(start, start + this.pieceBytes));
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

class PlannedRefusal extends Refused {
  readonly retryAfter: string | undefined;

  constructor({ status, retryAfter }: PlannedFailure) {
    super(status, 'Planned', 'planned by the test');
    this.retryAfter = retryAfter;
  }
}

/** A pod in a phase that ends it; every namespaced object takes part in the watch of all namespaces. */
export function podOf(name: string, fields: Readonly<Record<string, unknown>> = {}): NewObject {
  return {
    metadata: { name, namespace: 'demo', labels: { app: name } },
    spec: { containers: [] },
    status: { phase: 'Running' },
    ...fields,
  };
}

function statusOf(error: Refused, retryAfterSeconds?: number): object {
  const { code, reason, message } = error;
  const details = retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } };
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, ...details };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}

function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d+$/.test(text)) throw new Refused(400, 'BadRequest', `${name}: "${text}" is no number`);
  return Number(text);
}

/** The selectors that the real one accepts for the kind, as far as they are used. */
function acceptsOf(path: string, query: URLSearchParams): Accepts {
  const fields = requirementsOf(query.get('fieldSelector'));
  const labels = requirementsOf(query.get('labelSelector'));
  const isPods = path === '/api/v1/pods';
  const refusedField = fields.find((text) => !isPods || !/^status\.phase!=\w+$/.test(text));
  if (refusedField !== undefined) throw new Refused(400, 'BadRequest', `field label not supported: ${refusedField}`);
  const refusedLabel = labels.find((text) => !/^![\w./-]+$/.test(text));
  if (refusedLabel !== undefined) throw new Refused(400, 'BadRequest', `unable to parse requirement: ${refusedLabel}`);
  const phases = fields.map((text) => text.split('!=')[1]);
  const absent = labels.map((text) => text.slice(1));
  return ({ status, metadata }: StoredObject) =>
    !phases.includes(String(status?.['phase'])) && absent.every((label) => metadata.labels?.[label] === undefined);
}

function isValidEvent(event: Readonly<Record<string, unknown>>, name: string): boolean {
  const required = ['eventTime', 'reportingController', 'reportingInstance', 'action', 'reason', 'type'];
  const isWhole = required.every((field) => typeof event[field] === 'string' && event[field] !== '');
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(String(event['eventTime']));
  const isNamed = name.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name);
  return isWhole && isTime && isNamed && String(event['note']).length <= 1024;
}

function requirementsOf(selector: string | null): readonly string[] {
  return selector === null || selector === '' ? [] : selector.split(',');
}
