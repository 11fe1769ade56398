/** Where a part of the cluster listens: a network namespace with an address, or the machine's loopback. */
import { createServer } from 'node:net';
import type { Argv } from '../../src/backends/exec.ts';

/** `argv`, run in a network namespace; in the machine's own (only to listen on its loopback: nothing of it is changed) without one. */
export function inPlace({ netns }: { readonly netns?: string | undefined }, argv: Argv): Argv {
  return netns === undefined ? argv : ['nsenter', `--net=/run/netns/${netns}`, ...argv];
}

/** A TCP port of the machine's loopback that nobody listens on just now. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
