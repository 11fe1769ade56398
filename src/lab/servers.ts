/** The servers of all pods, in one process: their listening sockets are opened inside the pods' network namespaces and handed over. */
import { Socket as DatagramSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server as TcpServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { spawnProcess } from '../backends/exec.ts';
import { familyOf, parseIp } from '../lib/ip.ts';
import type { ListenAnswer, ListenRequest } from './listen-protocol.ts';
import type { PodPlan } from './plan.ts';
import { addressOf } from './plan.ts';

/** What a pod's server says about a request. */
export interface PodAnswer {
  readonly pod: string;
  readonly node: string;
  /** The client's address as the pod sees it. */
  readonly client: string;
  readonly server: string;
  readonly namespace: string;
  readonly port: number;
}

interface OpenPod {
  readonly listeners: (TcpServer | DatagramSocket)[];
  readonly connections: Set<Socket>;
}

/** A stream line goes out so often: seldom enough to cost nothing, often enough that a cut is seen within a second. */
const streamIntervalMs = 200;

export class PodServers {
  readonly #open = new Map<string, OpenPod>();
  readonly #cacheDirectory: string;

  /** `cacheDirectory`: where Node keeps listen.ts compiled; it starts in half the time then. */
  constructor(cacheDirectory: string) {
    this.#cacheDirectory = cacheDirectory;
  }

  /** Opens the ports of a pod; the answer lists what could not be opened. */
  async open(pod: PodPlan): Promise<readonly string[]> {
    const requests = listenRequests(pod);
    const opened: OpenPod = { listeners: [], connections: new Set() };
    this.#open.set(pod.key, opened);
    if (requests.length === 0) return [];
    const problems: string[] = [];
    await this.#listenInside(pod, requests, (answer, socket) => {
      if ('done' in answer) return;
      if (answer.error !== undefined)
        problems.push(`${pod.key}: no server on ${answer.port}/${answer.protocol}: ${answer.error}`);
      else serve(pod, opened, socket);
    });
    return problems;
  }

  close(key: string): void {
    const pod = this.#open.get(key);
    this.#open.delete(key);
    for (const listener of pod?.listeners ?? []) listener.close();
    for (const connection of pod?.connections ?? []) connection.destroy();
  }

  closeAll(): void {
    for (const key of this.#open.keys()) this.close(key);
  }

  async #listenInside(
    pod: PodPlan,
    requests: readonly ListenRequest[],
    onAnswer: (answer: ListenAnswer, socket: unknown) => void,
  ): Promise<void> {
    const program = join(import.meta.dirname, 'listen.ts');
    const child = spawnProcess(
      ['nsenter', `--net=/run/netns/${pod.netns}`, process.execPath, program, JSON.stringify(requests)],
      {
        stdout: 'ignore',
        ipc: true,
        env: { NODE_COMPILE_CACHE: this.#cacheDirectory },
      },
    );
    let isDone = false;
    child.onMessage((message, socket) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- sent by listen.ts
      const answer = message as ListenAnswer;
      onAnswer(answer, socket);
      if (!('done' in answer)) return;
      isDone = true;
      child.disconnect();
    });
    const { exitCode } = await child.exited;
    if (!isDone) throw new Error(`the servers of pod ${pod.key} could not be opened (exit code ${exitCode ?? 'none'})`);
  }
}

/** One socket on every address; on the host network UDP needs one for each, or answers leave from an address that was not asked. */
function listenRequests(pod: PodPlan): readonly ListenRequest[] {
  const seen = new Set<string>();
  return pod.ports.flatMap(({ port, protocol }): readonly ListenRequest[] => {
    if (protocol === 'SCTP' || seen.has(`${port}/${protocol}`)) return [];
    seen.add(`${port}/${protocol}`);
    if (protocol === 'UDP' && pod.hostNetwork) return pod.addresses.map((address) => ({ protocol, port, address }));
    return [{ protocol, port, address: '::' }];
  });
}

function serve(pod: PodPlan, opened: OpenPod, socket: unknown): void {
  if (socket instanceof TcpServer) serveHttp(pod, opened, socket);
  else if (socket instanceof DatagramSocket) serveDatagrams(pod, opened, socket);
  else throw new Error(`pod ${pod.key}: a listening socket did not arrive`);
}

function serveHttp(pod: PodPlan, opened: OpenPod, listener: TcpServer): void {
  opened.listeners.push(listener);
  // A connection that could not be accepted (too many open files) is the client's trouble, not the end of all pods.
  listener.on('error', () => undefined);
  const http = createServer({ keepAliveTimeout: 3_600_000 }, (request, response) => {
    respond(pod, request, response);
  });
  listener.on('connection', (connection) => {
    opened.connections.add(connection);
    connection.on('close', () => opened.connections.delete(connection));
    connection.on('error', () => connection.destroy());
    http.emit('connection', connection);
  });
}

/** `/` shows the pod's name, or the JSON line to who accepts JSON; `/json` is the line for everybody, `/stream` one line after another. */
function respond(pod: PodPlan, request: IncomingMessage, response: ServerResponse): void {
  const { remoteAddress = '', localAddress = '', localPort = 0 } = request.socket;
  const line = `${JSON.stringify(answerOf(pod, remoteAddress, localAddress, localPort))}\n`;
  const path = new URL(request.url ?? '/', 'http://pod').pathname;
  if (path === '/stream') {
    response.writeHead(200, { 'content-type': 'application/jsonl' });
    response.write(line);
    const timer = setInterval(() => response.write(line), streamIntervalMs);
    response.on('close', () => {
      clearInterval(timer);
    });
    return;
  }
  const wantsJson = path === '/json' || (request.headers.accept ?? '').includes('application/json');
  response.writeHead(200, { 'content-type': wantsJson ? 'application/json' : 'text/plain; charset=utf-8' });
  response.end(wantsJson ? line : `${pod.name}\n`);
}

function serveDatagrams(pod: PodPlan, opened: OpenPod, socket: DatagramSocket): void {
  opened.listeners.push(socket);
  socket.on('message', (_message, remote: RemoteInfo) => {
    const client = parseIp(plain(remote.address));
    const server = client === undefined ? undefined : addressOf(pod.addresses, familyOf(client));
    const answer = answerOf(pod, remote.address, server ?? '', socket.address().port);
    socket.send(`${JSON.stringify(answer)}\n`, remote.port, remote.address);
  });
  // An ICMP error for an earlier answer; the next question is answered all the same.
  socket.on('error', () => undefined);
}

function answerOf(pod: PodPlan, client: string, server: string, port: number): PodAnswer {
  const { name, namespace, node } = pod;
  return { pod: name, node, client: plain(client), server: plain(server), namespace, port };
}

/** IPv4 on a socket of both families. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
