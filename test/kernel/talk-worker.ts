/** Runs in a network namespace: keeps connections open, as server and as client, and prints every message that arrives. */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { LineSplitter } from '../../src/backends/line-splitter.ts';

export interface TalkOrder {
  /** Between two messages; default 50. */
  readonly everyMs?: number;
  readonly listen: readonly { readonly port: number; readonly kind: TalkKind }[];
  readonly connect: readonly {
    readonly id: string;
    readonly address: string;
    readonly port: number;
    readonly kind: TalkKind;
  }[];
}

/** Who speaks without being asked: over TCP the client, or the server; `udp`: the client asks and the server answers. */
export type TalkKind = 'client' | 'server' | 'udp';

/** `sequence` counts from 0; absent: the connection ended. */
export interface TalkEvent {
  readonly id: string;
  readonly at: number;
  readonly sequence?: number;
  readonly end?: string;
}

const retryMs = 50;
let everyMs = 50;

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by talk.ts
  const order = JSON.parse(process.argv[2] ?? '') as TalkOrder;
  everyMs = order.everyMs ?? everyMs;
  for (const { port, kind } of order.listen) {
    if (kind === 'udp') listenUdp(port);
    else createServer((socket) => serve(socket, kind)).listen(port);
  }
  for (const { id, address, port, kind } of order.connect) {
    if (kind === 'udp') askUdp(id, address, port);
    else call({ id, address, port, kind });
  }
}

/** The client's first line says who it is. */
function serve(socket: Socket, kind: TalkKind): void {
  let id: string | undefined;
  follow(
    socket,
    () => id,
    (line) => {
      if (id !== undefined) return tell({ id, sequence: Number(line) });
      id = line;
      if (kind === 'server') speak(socket);
      return undefined;
    },
  );
}

/** Servers are started at the same time, so the first calls may come too early. */
function call(order: TalkOrder['connect'][number]): void {
  const { id, address, port, kind } = order;
  const socket = connect({ host: address, port });
  const again = (): void => void setTimeout(() => call(order), retryMs);
  socket.once('error', again);
  socket.once('connect', () => {
    socket.off('error', again);
    follow(
      socket,
      () => id,
      (line) => tell({ id, sequence: Number(line) }),
    );
    socket.write(`${id}\n`);
    if (kind === 'client') speak(socket);
  });
}

function speak(socket: Socket): void {
  socket.setNoDelay(true);
  let sequence = 0;
  const timer = setInterval(() => {
    socket.write(`${sequence}\n`);
    sequence += 1;
  }, everyMs);
  socket.once('close', () => {
    clearInterval(timer);
  });
}

function follow(socket: Socket, idOf: () => string | undefined, onLine: (line: string) => void): void {
  const lines = new LineSplitter(onLine);
  socket.setEncoding('latin1').on('data', (piece: string) => lines.take(piece));
  let end = 'closed';
  socket.on('error', (error) => {
    end = error.message;
  });
  socket.once('close', () => {
    const id = idOf();
    if (id !== undefined) tell({ id, end });
  });
}

function listenUdp(port: number): void {
  const socket = createSocket('udp6');
  socket.on('message', (message, { address, port: from }) => {
    socket.send(message, from, address);
  });
  // An ICMP error for an earlier answer.
  socket.on('error', () => undefined);
  socket.bind(port);
}

function askUdp(id: string, address: string, port: number): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  let sequence = 0;
  socket.on('message', (message) => {
    tell({ id, sequence: Number(message.toString()) });
  });
  socket.on('error', () => undefined);
  setInterval(() => {
    socket.send(String(sequence), port, address);
    sequence += 1;
  }, everyMs);
}

function tell(event: Omit<TalkEvent, 'at'>): void {
  process.stdout.write(`${JSON.stringify({ ...event, at: Date.now() })}\n`);
}
