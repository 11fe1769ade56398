/** A TCP relay before the API server that can be cut, closed and frozen: what networks do to connections. */
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

export interface Gate {
  readonly port: number;
  /** Ends every open connection. */
  cut(): void;
  /** From now on nobody gets in; open connections end. */
  close(): void;
  open(): void;
  /** Open connections stay, and nothing ever comes by them again; new ones are as good as ever. */
  freeze(): void;
  /** No longer at all. */
  stop(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** A relay on a free loopback port to a port of the same host. */
export async function openGate(port: number): Promise<Gate> {
  const pairs = new Set<Pair>();
  let isOpen = true;
  const server = createServer((near) => {
    if (!isOpen) {
      near.destroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    const pair = { near, far };
    pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        near.destroy();
        far.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const { near } of pairs) near.destroy();
  };
  return {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      isOpen = false;
      cut();
    },
    open: () => {
      isOpen = true;
    },
    freeze: () => {
      for (const { near, far } of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        far.resume();
        near.resume();
      }
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      cut();
      await closed;
    },
  };
}
