/** What one client may cost: the ports for health and metrics are open to everybody who reaches the node. */
import type { Server, ServerOptions } from 'node:http';
import type { Socket } from 'node:net';

export interface ServerLimits {
  /** From the first byte to the end of the request's head. */
  readonly headMs: number;
  /** From the first byte to the end of the request. */
  readonly requestMs: number;
  /** A connection on which nothing moves, in either direction, for so long is closed: it does not read its answer. */
  readonly idleMs: number;
  readonly headBytes: number;
  /** Above that somebody's oldest connection goes for each new one. */
  readonly connections: number;
}

/** A probe or a scrape needs milliseconds and a few hundred bytes. */
export const serverLimits: ServerLimits = {
  headMs: 5000,
  requestMs: 10_000,
  idleMs: 15_000,
  headBytes: 8192,
  connections: 128,
};

/** Options of `createServer` for these limits. */
export function limitedOptions({ headMs, requestMs, headBytes }: ServerLimits): ServerOptions {
  return {
    headersTimeout: headMs,
    requestTimeout: requestMs,
    // How late the two above may be noticed.
    connectionsCheckingInterval: Math.min(1000, headMs / 2),
    keepAliveTimeout: headMs,
    maxHeaderSize: headBytes,
  };
}

/**
 * Closes idle connections, and where too many are open the oldest one of the address that has most: whoever holds many open
 * only ends its own, and the kubelet's probe always gets in.
 */
export function limitConnections(server: Server, { idleMs, connections }: ServerLimits): void {
  const open = new Map<Socket, string>();
  server.setTimeout(idleMs);
  server.on('connection', (socket) => {
    open.set(socket, socket.remoteAddress ?? '');
    socket.once('close', () => open.delete(socket));
    if (open.size > connections) oldestOfTheGreediest(open)?.destroy();
  });
}

function oldestOfTheGreediest(open: ReadonlyMap<Socket, string>): Socket | undefined {
  const byAddress = Map.groupBy(open, ([, address]) => address);
  const most = Math.max(...[...byAddress.values()].map((sockets) => sockets.length));
  // Maps keep the order of arrival.
  return [...byAddress.values()].find((sockets) => sockets.length === most)?.[0]?.[0];
}
