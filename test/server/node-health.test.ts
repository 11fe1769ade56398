/** /healthz as the load balancers of a cloud read it (kube-proxy.md 2.6, scenarios 121 and 122). */
import { expect, test } from 'vitest';
import { healthApp, proxyHealthApp, proxyModeApp } from '../../src/server/app.ts';
import type { NodeHealth } from '../../src/server/node-health.ts';
import { agentView } from './agent-view.ts';

const well: NodeHealth = {
  healthy: true,
  nodeEligible: true,
  families: ['ipv4', 'ipv6'],
  lastUpdated: '2026-01-01T00:00:00.000Z',
};

async function ask(nodeHealth: NodeHealth | undefined, path = '/healthz') {
  const response = await healthApp(agentView({ nodeHealth })).request(path);
  return { status: response.status, text: await response.text() };
}

test('where somebody else serves Services it says nothing about them', async () => {
  expect(await ask(undefined)).toEqual({ status: 200, text: 'ok\n' });
});

test("on kube-proxy's ports: /healthz and /proxyMode, and nothing else", async () => {
  const health = proxyHealthApp(agentView({ nodeHealth: well }));
  expect((await health.request('/healthz')).status).toBe(200);
  expect((await health.request('/metrics')).status).toBe(404);
  const mode = await proxyModeApp().request('/proxyMode');
  expect([mode.status, await mode.text()]).toEqual([200, 'iptables']);
});

test('121: 200 as of now while all is well, for each family', async () => {
  const { status, text } = await ask(well);
  expect(status).toBe(200);
  const body: unknown = JSON.parse(text);
  expect(body).toMatchObject({ healthy: true, nodeEligible: true, status: { IPv4: { healthy: true }, IPv6: {} } });
  expect(body).not.toMatchObject({ lastUpdated: well.lastUpdated });
});

test('121: 503 with the time of the last write while a change waits for too long', async () => {
  const { status, text } = await ask({ ...well, healthy: false });
  expect(status).toBe(503);
  expect(JSON.parse(text)).toMatchObject({
    healthy: false,
    lastUpdated: well.lastUpdated,
    status: { IPv4: { healthy: false, lastUpdated: well.lastUpdated } },
  });
});

test('122: 503 on a node that is about to go; it lives all the same', async () => {
  const leaving = { ...well, nodeEligible: false };
  const { status, text } = await ask(leaving);
  expect(status).toBe(503);
  expect(JSON.parse(text)).toMatchObject({ healthy: true, nodeEligible: false });
  expect((await ask(leaving, '/livez')).status).toBe(200);
});
