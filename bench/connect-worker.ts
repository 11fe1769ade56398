/** Runs in a namespace: connects to one target after the other, prints what came of each as one JSON list. */
import { connect } from 'node:net';

export interface Target {
  readonly address: string;
  readonly port: number;
}

export interface Connection {
  /** Until the connection stood; absent: it did not come to be. */
  readonly ms?: number;
  /** Where the server says that it arrived, as `address:port`. */
  readonly arrivedAt?: string;
}

const timeoutMs = 1000;

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by connections.ts
  const targets = JSON.parse(process.argv[2] ?? '') as readonly Target[];
  const results: Connection[] = [];
  for (const target of targets) results.push(await connectTo(target));
  process.stdout.write(JSON.stringify(results));
}

function connectTo({ address, port }: Target): Promise<Connection> {
  return new Promise((resolve) => {
    let ms: number | undefined;
    let arrivedAt = '';
    const started = performance.now();
    const socket = connect({ host: address, port });
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(ms === undefined ? {} : { ms, arrivedAt });
    };
    const timer = setTimeout(finish, timeoutMs);
    socket.on('connect', () => {
      ms = performance.now() - started;
    });
    socket.on('data', (piece) => {
      arrivedAt += piece.toString();
    });
    socket.on('end', finish);
    socket.on('error', finish);
  });
}
