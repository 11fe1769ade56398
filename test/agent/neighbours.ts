/** Programs beside the agent, as they show: processes of a /proc of our own, and what answers on loopback. For each test of the file that calls it. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';

export interface Neighbours {
  /** In the place of /proc; we ourselves are in the network namespace `net:[1]`. */
  readonly procDirectory: string;
  run(pid: string, comm: string, netns: string, args?: readonly string[]): void;
  /** A server that says this to whoever asks; its port. */
  answering(body: string, statusCode?: number): Promise<number>;
}

export function neighboursOfEachTest(): Neighbours {
  let procDirectory = '';
  const servers: Server[] = [];

  function run(pid: string, comm: string, netns: string, args: readonly string[] = []): void {
    mkdirSync(join(procDirectory, pid, 'ns'), { recursive: true });
    writeFileSync(join(procDirectory, pid, 'comm'), `${comm}\n`);
    writeFileSync(join(procDirectory, pid, 'cmdline'), [comm, ...args, ''].join('\0'));
    symlinkSync(netns, join(procDirectory, pid, 'ns', 'net'));
  }

  beforeEach(() => {
    procDirectory = mkdtempSync(join(tmpdir(), 'sluice-proc-'));
    run('self', 'node', 'net:[1]');
  });
  afterEach(() => {
    rmSync(procDirectory, { recursive: true });
    for (const server of servers.splice(0)) server.close();
  });

  return {
    get procDirectory() {
      return procDirectory;
    },
    run,
    async answering(body, statusCode = 200) {
      const server = createServer((_request, response) => response.writeHead(statusCode).end(body));
      servers.push(server);
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
      return (server.address() as AddressInfo).port;
    },
  };
}
