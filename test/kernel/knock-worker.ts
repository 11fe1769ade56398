/** Runs in a network namespace: opens one connection after another to each address, and prints what came of each. */
import { connect } from 'node:net';

export interface KnockOrder {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

/** One line for each connection. */
export interface KnockAnswer {
  readonly id: string;
  /** Absent: nobody answered, and `failure` says how. */
  readonly pod?: string;
  readonly failure?: string;
}

const everyMs = 40;
/** No retransmission is waited for: a lost packet is a failed request. */
const timeoutMs = 900;

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by asking.ts
  for (const order of JSON.parse(process.argv[2] ?? '') as readonly KnockOrder[]) {
    setInterval(() => void knock(order).then(tell), everyMs);
  }
}

function tell(answer: KnockAnswer): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function knock({ id, address, port }: KnockOrder): Promise<KnockAnswer> {
  return new Promise((resolve) => {
    let body = '';
    const socket = connect({ host: address, port });
    const finish = (failure?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      const pod = body.slice(body.indexOf('\r\n\r\n') + 4).trim();
      resolve(failure === undefined ? { id, pod } : { id, failure });
    };
    const timer = setTimeout(() => finish('timeout'), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write('GET / HTTP/1.0\r\nhost: knock\r\n\r\n'));
    socket.on('data', (chunk: string) => {
      body += chunk;
    });
    socket.on('end', () => finish());
    socket.on('error', (error) => finish(error.message));
  });
}
