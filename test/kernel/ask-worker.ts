/** Runs in a network namespace: asks pod servers over UDP from ports that stay the same, and prints who answered. */
import { createSocket } from 'node:dgram';

export interface AskOrder {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/** One line for each answer. */
export interface AskAnswer {
  readonly id: string;
  readonly pod: string;
}

const everyMs = 50;

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by asking.ts
  for (const order of JSON.parse(process.argv[2] ?? '') as readonly AskOrder[]) ask(order);
}

function ask({ id, address, port }: AskOrder): void {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  // Refused for now; the next datagram may get through.
  socket.on('error', () => undefined);
  socket.on('message', (message) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the lab's own servers wrote it
    const { pod } = JSON.parse(message.toString()) as { readonly pod: string };
    process.stdout.write(`${JSON.stringify({ id, pod } satisfies AskAnswer)}\n`);
  });
  setInterval(() => socket.send('who are you?', port, address), everyMs);
}
