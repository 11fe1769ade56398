/** A live kube-proxy is found by any of the ways it shows, and nothing else is taken for one. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeHealthResponse } from '../../src/server/node-health.ts';
import { findKubeProxy, kubeProxyRefusal } from '../../src/agent/other-proxy.ts';
import { neighboursOfEachTest } from './neighbours.ts';

const neighbours = neighboursOfEachTest();

const nobody = { healthPort: 1, metricsPort: 1 };
const unfit = '{"lastUpdated": "2026-01-01", "currentTime": "2026-01-01", "nodeEligible": false, "healthy": false}';

test('nobody is there', async () => {
  expect(await findKubeProxy({ ...nobody, procDirectory: neighbours.procDirectory })).toBeUndefined();
});

test('its health port answers, also when it is unfit', async () => {
  const healthPort = await neighbours.answering(unfit, 503);
  expect(await findKubeProxy({ ...nobody, procDirectory: neighbours.procDirectory, healthPort })).toBe(
    `it answers on 127.0.0.1:${healthPort}/healthz`,
  );
});

test('an agent of ours that is just ending is none, a process called kube-proxy beside it is', async () => {
  const health = { healthy: true, nodeEligible: true, families: ['ipv4'] };
  const own = await nodeHealthResponse(health, new Date()).text();
  const around = {
    procDirectory: neighbours.procDirectory,
    healthPort: await neighbours.answering(own),
    metricsPort: await neighbours.answering('iptables'),
  };
  expect(await findKubeProxy(around)).toBeUndefined();
  neighbours.run('4711', 'kube-proxy', 'net:[1]');
  expect(await findKubeProxy(around)).toBe('process 4711');
});

test('its metrics port answers', async () => {
  const metricsPort = await neighbours.answering('nftables');
  expect(await findKubeProxy({ ...nobody, procDirectory: neighbours.procDirectory, metricsPort })).toBe(
    `it answers on 127.0.0.1:${metricsPort}/proxyMode`,
  );
});

test('it runs in this network namespace', async () => {
  neighbours.run('4711', 'kube-proxy', 'net:[1]');
  expect(await findKubeProxy({ ...nobody, procDirectory: neighbours.procDirectory })).toBe('process 4711');
});

test('other programs on its ports, one in another network namespace, one that is just ending', async () => {
  neighbours.run('4711', 'kube-proxy', 'net:[2]');
  neighbours.run('4712', 'kube-proxy-like', 'net:[1]');
  mkdirSync(join(neighbours.procDirectory, '4713'));
  const [healthPort, metricsPort] = [
    await neighbours.answering('ok'),
    await neighbours.answering('404 page not found', 404),
  ];
  expect(await findKubeProxy({ procDirectory: neighbours.procDirectory, healthPort, metricsPort })).toBeUndefined();
});

test('the refusal says what was seen and what to do', () => {
  expect(kubeProxyRefusal('process 4711')).toMatch(
    /\(process 4711\).*delete daemonset kube-proxy.*--service-proxy=false/,
  );
});
