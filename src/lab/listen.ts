/**
 * Runs for a moment inside a pod's network namespace: opens the pod's listening sockets and hands them to the lab's
 * process, which answers on all of them. A process for each pod would cost 44 MB each.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import type { ListenAnswer, ListenRequest } from './listen-protocol.ts';

// The lab's process closes the channel when it has everything; to listen for that keeps this process until then.
process.on('disconnect', () => process.exit(0));

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by servers.ts
const requests = JSON.parse(process.argv[2] ?? '[]') as readonly ListenRequest[];
for (const request of requests) {
  try {
    await hand({ ...request }, request.protocol === 'TCP' ? await openTcp(request) : await openUdp(request));
  } catch (error) {
    await hand({ ...request, error: error instanceof Error ? error.message : String(error) });
  }
}
process.send?.({ done: true } satisfies ListenAnswer);

function hand(answer: ListenAnswer, socket?: Server | Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(answer, socket, { keepOpen: false }, (error) => {
      socket?.close();
      if (error === null) resolve();
      else reject(error);
    });
  });
}

function openTcp({ port, address }: ListenRequest): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: address, backlog: 511 }, () => {
      resolve(server);
    });
  });
}

function openUdp({ port, address }: ListenRequest): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.bind({ port, address }, () => {
      resolve(socket);
    });
  });
}
