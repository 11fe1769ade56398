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
};
const end = new AbortController();
process.on('SIGTERM', () => end.abort());

await Promise.all(
  targets.flatMap((target) => (target.expect === 'denied' ? [knockDenied(target)] : [knock(target), keep(target)])),
);
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(0);

async function knockDenied(target: ProbeTarget): Promise<void> {
  while (!end.signal.aborted) {
    report.deniedAttempts += 1;
    if (await opens(target, deniedPatienceMs)) report.deniedPassed += 1;
    await sleep(pauseMs);
  }
}

async function knock(target: ProbeTarget): Promise<void> {
  while (!end.signal.aborted) {
    const started = performance.now();
    report.allowedAttempts += 1;
    if (!(await opens(target, patienceMs))) report.allowedFailed += 1;
    report.slowestMs = Math.max(report.slowestMs, Math.round(performance.now() - started));
    await sleep(pauseMs);
  }
}

/** Requests over one connection; when it breaks, that is counted and a new one is opened. */
async function keep({ host, port }: ProbeTarget): Promise<void> {
  while (!end.signal.aborted) {
    const socket = connect({ host, port });
    const isBroken = await requestOn(socket);
    socket.destroy();
    if (isBroken) report.keptBroken += 1;
  }
}

async function requestOn(socket: Socket): Promise<boolean> {
  while (!end.signal.aborted) {
    const answer = new Promise<boolean>((resolve) => {
      socket.once('data', () => resolve(true));
      for (const event of ['error', 'close'] as const) socket.once(event, () => resolve(false));
      setTimeout(() => resolve(false), patienceMs).unref();
    });
    socket.write('GET /hostname HTTP/1.1\r\nHost: probe\r\n\r\n');
    if (!(await answer)) return !end.signal.aborted;
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    report.keptRequests += 1;
    await sleep(pauseMs);
  }
  return false;
}

async function opens({ host, port }: ProbeTarget, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (isOpen: boolean) => (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(isOpen);
    };
    const timer = setTimeout(settle(false), timeout);
    socket.once('connect', settle(true));
    socket.once('error', settle(false));
  });
}
