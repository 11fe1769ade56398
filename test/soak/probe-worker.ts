/** Runs in a pod: opens one connection after another to each address and prints what came of each. Argument: SoakProbe[] as JSON. */
import { connect } from 'node:net';

export interface SoakProbe {
  readonly id: string;
  readonly address: string;
  readonly port: number;
}

export interface SoakAnswer {
  readonly id: string;
  readonly isAnswered: boolean;
  /** `refused`, `timeout`, or how long it took. */
  readonly detail: string;
}

const everyMs = 250;
/** A SYN is sent again after 1, 3 and 7 seconds: a packet that is lost for a moment shows in the time, a flow that is closed ends here. */
const timeoutMs = 5000;

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by watch.ts
  for (const probe of JSON.parse(process.argv[2] ?? '') as readonly SoakProbe[]) {
    setInterval(() => void knock(probe).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)), everyMs);
  }
}

function knock({ id, address, port }: SoakProbe): Promise<SoakAnswer> {
  const started = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const finish = (isAnswered: boolean, detail: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ id, isAnswered, detail });
    };
    const timer = setTimeout(() => finish(false, 'timeout'), timeoutMs);
    socket.on('connect', () => finish(true, String(Math.round(performance.now() - started))));
    socket.on('error', (error) => finish(false, error.message));
  });
}
