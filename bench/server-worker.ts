/** Runs in a namespace: listens on the TCP ports that it is given, on every address, and tells each client where it arrived. */
import { createServer } from 'node:net';

if (import.meta.main) {
  const ports = process.argv.slice(2).map(Number);
  await Promise.all(ports.map(listen));
  process.stdout.write('ready\n');
}

function listen(port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${socket.localAddress ?? ''}:${socket.localPort ?? ''}`);
  });
  return new Promise((resolve) => {
    server.listen({ port, host: '0.0.0.0', backlog: 1024 }, resolve);
  });
}
