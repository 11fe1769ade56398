/** A live kube-proxy is found by any of the ways it shows, and nothing else is taken for one. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findKubeProxy, kubeProxyRefusal } from '../../src/agent/other-proxy.ts';

let procDirectory: string;
const servers: Server[] = [];

beforeEach(() => {
  procDirectory = mkdtempSync(join(tmpdir(), 'sluice-proc-'));
  runProcess('self', 'node', 'net:[1]');
});
afterEach(() => {
  rmSync(procDirectory, { recursive: true });
  for (const server of servers.splice(0)) server.close();
});

function runProcess(pid: string, comm: string, netns: string): void {
  mkdirSync(join(procDirectory, pid, 'ns'), { recursive: true });
  writeFileSync(join(procDirectory, pid, 'comm'), `${comm}\n`);
  symlinkSync(netns, join(procDirectory, pid, 'ns', 'net'));
}

async function answering(body: string, statusCode = 200): Promise<number> {
  const server = createServer((_request, response) => response.writeHead(statusCode).end(body));
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on TCP
  return (server.address() as AddressInfo).port;
}

const nobody = { healthPort: 1, metricsPort: 1 };
const unfit = '{"lastUpdated": "2026-01-01", "currentTime": "2026-01-01", "nodeEligible": false, "healthy": false}';

test('nobody is there', async () => {
  expect(await findKubeProxy({ ...nobody, procDirectory })).toBeUndefined();
});

test('its health port answers, also when it is unfit', async () => {
  const healthPort = await answering(unfit, 503);
  expect(await findKubeProxy({ ...nobody, procDirectory, healthPort })).toBe(
    `it answers on 127.0.0.1:${healthPort}/healthz`,
  );
});

test('its metrics port answers', async () => {
  const metricsPort = await answering('nftables');
  expect(await findKubeProxy({ ...nobody, procDirectory, metricsPort })).toBe(
    `it answers on 127.0.0.1:${metricsPort}/proxyMode`,
  );
});

test('it runs in this network namespace', async () => {
  runProcess('4711', 'kube-proxy', 'net:[1]');
  expect(await findKubeProxy({ ...nobody, procDirectory })).toBe('process 4711');
});

test('other programs on its ports, one in another network namespace, one that is just ending', async () => {
  runProcess('4711', 'kube-proxy', 'net:[2]');
  runProcess('4712', 'kube-proxy-like', 'net:[1]');
  mkdirSync(join(procDirectory, '4713'));
  const [healthPort, metricsPort] = [await answering('ok'), await answering('404 page not found', 404)];
  expect(await findKubeProxy({ procDirectory, healthPort, metricsPort })).toBeUndefined();
});

test('the refusal says what was seen and what to do', () => {
  expect(kubeProxyRefusal('process 4711')).toMatch(
    /\(process 4711\).*delete daemonset kube-proxy.*--service-proxy=false/,
  );
});
