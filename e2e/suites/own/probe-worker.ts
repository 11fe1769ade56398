/**
 * Runs in a pod's network namespace until SIGTERM, then prints one line of JSON. It opens connections one after the other, to
 * what must answer and to what must not, and keeps one connection alive to each that must.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProbeReport, ProbeTarget } from './probe.ts';

/** After which an allowed connection counts as broken: three lost SYNs. */
const patienceMs = 8000;
/** A SYN that is dropped gets no answer: the next one is worth more than its repetition. */
const deniedPatienceMs = 150;
const pauseMs = 5;
/** Below what the kernel gives to others (32768 and up). */
const portCount = 5_000;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by probe.ts
const targets = JSON.parse(process.argv[2] ?? '[]') as readonly ProbeTarget[];
const report: { -readonly [Key in keyof ProbeReport]: ProbeReport[Key] } = {
  deniedAttempts: 0,
  deniedPassed: 0,
  allowedAttempts: 0,
  allowedFailed: 0,
  slowestMs: 0,
  keptRequests: 0,
  keptBroken: 0,
  errors: {},
};
const end = new AbortController();
process.on('SIGTERM', () => end.abort());

/**
 * Source ports of one target alone. A Service and the pod behind it are the same flow after DNAT: from the same source port,
 * conntrack drops the later one, whoever wrote the rules.
 */
class PortRange {
  readonly #first: number;
  #at = 0;

  constructor(index: number) {
    this.#first = 10_000 + index * portCount;
  }

  next(): number {
    this.#at = (this.#at + 1) % portCount;
    return this.#first + this.#at;
  }
}

await Promise.all(
  targets.flatMap((target, index) =>
    target.expect === 'denied'
      ? [knockDenied(target, new PortRange(index))]
      : [knock(target, new PortRange(index)), keep(target)],
  ),
);
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);

async function knockDenied(target: ProbeTarget, ports: PortRange): Promise<void> {
  while (!end.signal.aborted) {
    report.deniedAttempts += 1;
    if (await opens(target, ports, deniedPatienceMs)) report.deniedPassed += 1;
    await sleep(pauseMs);
  }
}

async function knock(target: ProbeTarget, ports: PortRange): Promise<void> {
  while (!end.signal.aborted) {
    const started = performance.now();
    report.allowedAttempts += 1;
    if (!(await opens(target, ports, patienceMs))) report.allowedFailed += 1;
    report.slowestMs = Math.max(report.slowestMs, Math.round(performance.now() - started));
    await sleep(pauseMs);
  }
}

/** Requests over one connection; when it breaks, that is counted and a new one is opened. */
async function keep({ host, port }: ProbeTarget): Promise<void> {
  while (!end.signal.aborted) {
    const socket = connect({ host, port, noDelay: true });
    const isBroken = await requestOn(socket);
    socket.destroy();
    if (isBroken) report.keptBroken += 1;
  }
}

async function requestOn(socket: Socket): Promise<boolean> {
  let settle: (isAnswered: boolean) => void = () => undefined;
  socket.on('data', () => settle(true));
  for (const event of ['error', 'close'] as const) socket.on(event, () => settle(false));
  while (!end.signal.aborted) {
    const answer = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    socket.write('GET /hostname HTTP/1.1\r\nHost: probe\r\n\r\n');
    const timer = setTimeout(settle, patienceMs, false);
    const isAnswered = await answer;
    clearTimeout(timer);
    if (!isAnswered) return !end.signal.aborted;
    report.keptRequests += 1;
    await sleep(pauseMs);
  }
  return false;
}

/** One connection, reset at once: one that is closed would hold its port for a minute. */
async function opens({ host, port }: ProbeTarget, ports: PortRange, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, localPort: ports.next() });
    const settle = (isOpen: boolean) => (): void => {
      clearTimeout(timer);
      if (isOpen) socket.resetAndDestroy();
      else socket.destroy();
      resolve(isOpen);
    };
    const timer = setTimeout(settle(false), timeout);
    socket.once('connect', settle(true));
    socket.on('error', ({ message }) => {
      const what = message.replace(/ - Local.*/, '');
      report.errors[what] = (report.errors[what] ?? 0) + 1;
      settle(false)();
    });
  });
}
