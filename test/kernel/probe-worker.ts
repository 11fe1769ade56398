/** Runs in the namespace that packets come from: asks every target at the same time, prints what came of each as one JSON list. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Protocol } from '../../src/cluster/objects.ts';

export interface ProbeRequest {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly protocol: Protocol;
}

export interface ProbeResult {
  readonly id: number;
  readonly detail: string;
  readonly body?: string;
}

/** A datagram may be lost on the way to a neighbour that is not resolved yet: it is sent again. */
const datagramsAtMs = [0, 150, 500];

if (import.meta.main) {
  const timeoutMs = Number(process.argv[2]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by probe.ts
  const requests = JSON.parse(await text(process.stdin)) as readonly ProbeRequest[];
  const results = await Promise.all(
    requests.map((request) => (request.protocol === 'UDP' ? askByUdp : askByTcp)(request, timeoutMs)),
  );
  process.stdout.write(JSON.stringify(results));
}

function askByTcp({ id, address, port }: ProbeRequest, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    let body = '';
    let isConnected = false;
    const socket = connect({ host: address, port });
    const finish = (detail: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(detail === 'answered' ? { id, detail, body: body.slice(body.indexOf('\r\n\r\n') + 4) } : { id, detail });
    };
    const timer = setTimeout(() => finish(isConnected ? 'no answer' : 'timeout'), timeoutMs);
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      isConnected = true;
      socket.write(`GET /json HTTP/1.0\r\nhost: probe\r\n\r\n`);
    });
    socket.on('data', (chunk: string) => {
      body += chunk;
    });
    socket.on('end', () => finish('answered'));
    socket.on('error', (error) => finish(reasonOf(error)));
  });
}

function askByUdp({ id, address, port }: ProbeRequest, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const timers = [setTimeout(() => finish({ id, detail: 'timeout' }), timeoutMs)];
    const finish = (result: ProbeResult): void => {
      for (const timer of timers) clearTimeout(timer);
      socket.removeAllListeners('error').on('error', () => undefined);
      socket.close();
      resolve(result);
    };
    socket.on('error', (error) => finish({ id, detail: reasonOf(error) }));
    socket.on('message', (message) => finish({ id, detail: 'answered', body: message.toString() }));
    socket.connect(port, address, () => {
      for (const atMs of datagramsAtMs) timers.push(setTimeout(() => socket.send('who are you?'), atMs));
    });
  });
}

function reasonOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : error.message;
  return code === 'ECONNREFUSED' ? 'refused' : code;
}
