/** Opens the sockets that the agent answers on. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { ListenOptions } from 'node:net';
import { dirname } from 'node:path';
import type { Hono } from 'hono';
import type { ServerLimits } from './limits.ts';
import { limitConnections, limitedOptions, serverLimits } from './limits.ts';

/** An open socket; `close` ends it and its connections. */
export interface Listener {
  readonly address: ReturnType<Server['address']>;
  close(): Promise<void>;
}

/** The address is taken: by whom, and what to do. */
export class AddressInUseError extends Error {
  override readonly name = 'AddressInUseError';
}

/** A TCP port; port 0 takes a free one. `host` undefined: every address of the machine. */
export function listenOnPort(
  app: Hono,
  port: number,
  host: string | undefined,
  limits: ServerLimits = serverLimits,
): Promise<Listener> {
  return listen(app, { port, ...(host === undefined ? {} : { host }) }, limits);
}

/** One address of one family; rejects with AddressInUseError where another process has it. */
export function listenOn(
  app: Hono,
  place: { readonly host: string; readonly port: number; readonly ipv6Only: boolean },
): Promise<Listener> {
  return listen(app, place);
}

/** A unix socket for its owner alone. The socket of a dead agent is replaced, a live agent's is refused. */
export async function listenOnSocket(app: Hono, path: string): Promise<Listener> {
  makeDirectory(dirname(path));
  if (await isAnswered(path)) throw new AddressInUseError(`${path}: another agent is running here; stop it first`);
  rmSync(path, { force: true });
  return withUmask(0o177, () => listen(app, { path }));
}

/** With its parents. Node's own way of that never ends where the kernel calls a parent missing that is there (/proc). */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    // Somebody else has just made it.
    if (!existsSync(path)) throw error;
  }
}

/** The socket is born closed to others; node binds a path before `listen` returns, so nothing else sees the mask. */
function withUmask<T>(mask: number, open: () => T): T {
  const before = process.umask(mask);
  try {
    return open();
  } finally {
    process.umask(before);
  }
}

async function listen(app: Hono, options: ListenOptions, limits: ServerLimits = serverLimits): Promise<Listener> {
  const server = createServer(limitedOptions(limits), answering(app));
  limitConnections(server, limits);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, options)));
    server.listen(options, resolve);
  });
  return {
    address: server.address(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What answers is loaded when somebody asks: a start should not wait for it. */
function answering(app: Hono): (request: IncomingMessage, response: ServerResponse) => void {
  let listener: Promise<(request: IncomingMessage, response: ServerResponse) => unknown> | undefined;
  const load = async () => (await import('@hono/node-server')).getRequestListener(app.fetch);
  return (request, response) => {
    listener ??= load();
    void listener.then((answer) => answer(request, response));
  };
}

function explain(error: Error, { port, host, path }: ListenOptions): Error {
  if (!('code' in error) || error.code !== 'EADDRINUSE') return error;
  const place = path ?? `port ${port}${host === undefined ? '' : ` of ${host}`}`;
  return new AddressInUseError(`${place}: already in use by another process`, { cause: error });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
