/** Slow, huge and malformed requests, and very many of them: each ends, and a probe is answered meanwhile. */
import { connect, type Socket } from 'node:net';
import * as fc from 'fast-check';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { apiApp, healthApp } from '../../src/server/app.ts';
import type { Listener } from '../../src/server/listen.ts';
import { listenOnPort } from '../../src/server/listen.ts';
import type { ServerLimits } from '../../src/server/limits.ts';
import { serverLimits } from '../../src/server/limits.ts';
import { agentView } from './agent-view.ts';

/** As in use, with the times of a test. */
const limits: ServerLimits = { ...serverLimits, headMs: 200, requestMs: 400, idleMs: 600 };
const huge = 'x'.repeat(30_000_000);
let listener: Listener;
let port = 0;

beforeAll(async () => {
  const app = new Hono();
  app.get('/huge', (context) => context.text(huge));
  app.route('/', healthApp(agentView()));
  app.route('/', apiApp(agentView()));
  listener = await listenOnPort(app, 0, '127.0.0.1', limits);
  if (typeof listener.address === 'object') port = listener.address?.port ?? 0;
});
afterAll(() => listener.close());

interface Client {
  readonly socket: Socket;
  /** What came until the server closed, and after how many milliseconds. */
  readonly end: Promise<{ readonly answer: string; readonly afterMs: number }>;
}

function open(text = ''): Client {
  const started = performance.now();
  const socket = connect({ port, host: '127.0.0.1' });
  let answer = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    answer += piece;
  });
  socket.on('error', () => undefined);
  if (text !== '') socket.write(text, 'latin1');
  const end = new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  }).then(() => ({ answer, afterMs: performance.now() - started }));
  return { socket, end };
}

async function ask(text: string): Promise<string> {
  return (await open(text).end).answer;
}

const head = 'Host: a\r\nConnection: close\r\n';

async function expectAlive(): Promise<void> {
  expect(await ask(`GET /healthz HTTP/1.1\r\n${head}\r\n`)).toMatch(/^HTTP\/1.1 200 .*\r\n\r\nok\n$/s);
}

test('the limits in use: seconds and kilobytes, more connections than probes and scrapes need', () => {
  expect(serverLimits.headMs).toBeLessThanOrEqual(10_000);
  expect(serverLimits.requestMs).toBeLessThanOrEqual(30_000);
  expect(serverLimits.headBytes).toBeLessThanOrEqual(16_384);
  expect(serverLimits.connections).toBeGreaterThanOrEqual(64);
});

test('a head that comes byte by byte is cut off', async () => {
  const { socket, end } = open('GET /healthz HTTP/1.1\r\nHost: a\r\nX: ');
  const drip = setInterval(() => socket.write('a'), 20);
  const { answer, afterMs } = await end;
  clearInterval(drip);
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(afterMs).toBeLessThan(2000);
});

test('a body that comes byte by byte is cut off', async () => {
  const { socket, end } = open('POST /api/state HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n');
  const drip = setInterval(() => socket.write('a'), 20);
  const { afterMs } = await end;
  clearInterval(drip);
  expect(afterMs).toBeLessThan(3000);
});

test.each([
  ['nothing at all', ''],
  ['half a head', 'GET /healthz HT'],
])('a client that sends %s and waits is closed', async (_what, text) => {
  expect((await open(text).end).afterMs).toBeLessThan(3000);
});

test('a client that half closes in its head is closed', async () => {
  const client = open('GET /healthz HTTP/1.1\r\nHost:');
  client.socket.end();
  expect((await client.end).afterMs).toBeLessThan(2000);
});

test('a client that asks for much and reads nothing is closed', async () => {
  const client = open(`GET /huge HTTP/1.1\r\n${head}\r\n`);
  client.socket.pause();
  const closed = new Promise<number>((resolve) => {
    const started = performance.now();
    const watch = setInterval(() => {
      // Its own end stays open until it reads.
      if (countHandles() > 1) return;
      clearInterval(watch);
      resolve(performance.now() - started);
    }, 50);
  });
  expect(await closed).toBeLessThan(5000);
  client.socket.destroy();
});

test.each<[string, string, RegExp]>([
  ['a thousand headers', `GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(5000)}\r\n`, /^HTTP\/1.1 431 /],
  ['a header of a megabyte', `GET / HTTP/1.1\r\nX: ${'y'.repeat(1e6)}\r\n\r\n`, /^HTTP\/1.1 431 |^$/],
  ['a path of a megabyte', `GET /${'y'.repeat(1e6)} HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 431 |^$/],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n', /^HTTP\/1.1 400 /],
  ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1.1 400 /],
  ['two lengths', `GET / HTTP/1.1\r\n${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, /^HTTP\/1.1 400 /],
  [
    'a length and chunks',
    `POST / HTTP/1.1\r\n${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    /^HTTP\/1.1 400 /,
  ],
  ['a way out of the root', `GET /../../etc/passwd HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 404 /],
  ['a bad escape', `GET /%E0%A4%A HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 40[04] /],
  ['a NUL escape', `GET /api/%00 HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 404 /],
  ['two slashes', `GET //healthz HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 40[04] /],
  ['another server', `GET http://example.com/x HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 40[04] /],
  ['no path', `OPTIONS * HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 40[04] /],
  ['a tunnel', `CONNECT example.com:443 HTTP/1.1\r\n${head}\r\n`, /^$|^HTTP\/1.1 40[045] /],
  [
    'an upgrade',
    `GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
    /^HTTP\/1.1 40[04] /,
  ],
  ['a method of no standard', `BREW / HTTP/1.1\r\n${head}\r\n`, /^HTTP\/1.1 40[045] /],
  [
    'a Host of nonsense',
    'GET /healthz HTTP/1.1\r\nHost: a b"c/d\r\nConnection: close\r\n\r\n',
    /^HTTP\/1.1 (?:400|200) /,
  ],
  [
    'a large body',
    `POST /api/state HTTP/1.1\r\n${head}Content-Length: 5000000\r\n\r\n${'x'.repeat(5_000_000)}`,
    /^HTTP\/1.1 404 |^$/,
  ],
])('%s', async (_what, text, expected) => {
  expect(await ask(text)).toMatch(expected);
  await expectAlive();
});

test('a thousand clients that hold on: only so many stay, and a probe is answered', async () => {
  const clients = Array.from({ length: 1000 }, () => open('GET /healthz HTTP/1.1\r\nX: '));
  await expectAlive();
  // A connection that was ended is a handle of ours until its end has come round.
  await expect.poll(() => countHandles() / 2, { timeout: 10_000 }).toBeLessThanOrEqual(limits.connections);
  await Promise.all(clients.map(({ end }) => end));
  await expectAlive();
});

test('whoever holds most loses its own, others keep theirs', async () => {
  const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' });
  let isClosed = false;
  socket.once('close', () => {
    isClosed = true;
  });
  await new Promise((resolve) => {
    socket.once('connect', resolve);
  });
  const clients = Array.from({ length: 2 * limits.connections }, () => open());
  await expectAlive();
  expect(isClosed).toBe(false);
  socket.destroy();
  for (const client of clients) client.socket.destroy();
});

test('any bytes', async () => {
  const start = fc.constantFrom(
    '',
    'GET ',
    'GET / HTTP/1.1\r\n',
    `GET /api/status HTTP/1.1\r\n${head}`,
    'POST /x HTTP/1.1\r\n',
  );
  const bytes = fc.uint8Array({ maxLength: 200 }).map((found) => Buffer.from(found).toString('latin1'));
  await fc.assert(
    fc.asyncProperty(start, bytes, async (first, rest) => {
      const client = open(`${first}${rest}`);
      client.socket.end();
      const { answer, afterMs } = await client.end;
      expect(answer).not.toMatch(/^HTTP\/1.1 5/);
      expect(afterMs).toBeLessThan(5000);
    }),
    { numRuns: 150 },
  );
  await expectAlive();
});

/** Ends of connections that are open in this process: each connection has both of its ends here. */
function countHandles(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
}
