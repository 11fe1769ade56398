/** Real TLS: who is trusted, who is not, and what is said then. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { KeyPair } from '../../e2e/cluster/certificates.ts';
import { makeAuthority, signServer } from '../../e2e/cluster/certificates.ts';
import type { ClusterAccess, TlsOptions } from '../../src/kube/cluster-access.ts';
import { FakeKubeApi } from '../fakes/kube-api.ts';
import { follow, paths } from './following.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-https-test-'));
const running: { stop(): Promise<void> }[] = [];
let authority: KeyPair;
let stranger: KeyPair;
let server: KeyPair;

beforeAll(async () => {
  authority = await makeAuthority(join(directory, 'ours'));
  stranger = await makeAuthority(join(directory, 'theirs'));
  server = await signServer(authority, directory, 'server', ['api.example']);
});
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop();
});
afterAll(() => rmSync(directory, { recursive: true }));

async function start(): Promise<FakeKubeApi> {
  const tls = { cert: readFileSync(server.certificate, 'utf8'), key: readFileSync(server.key, 'utf8') };
  const api = await FakeKubeApi.start({ tls });
  running.push(api);
  api.store.put(paths.nodes, { metadata: { name: 'n1' } });
  return api;
}

function access(api: FakeKubeApi, tls: () => TlsOptions): ClusterAccess {
  return { server: api.url, credentials: async () => ({ tls: tls(), headers: {} }), forget: () => undefined };
}

const certificateOf = (pair: KeyPair) => readFileSync(pair.certificate);

test('a certificate of the right authority, under the name that was asked for', async () => {
  const api = await start();
  const cluster = follow(api, {
    access: access(api, () => ({ ca: certificateOf(authority), servername: 'api.example' })),
  });
  running.push(cluster);
  await cluster.untilSynced();
});

test.each([
  ['of a strange authority', () => ({ ca: certificateOf(stranger), servername: 'api.example' })],
  ['of another name', () => ({ ca: certificateOf(authority) })],
  ['of nobody we know', () => ({ servername: 'api.example' })],
  ['of ours that is no certificate', () => ({ ca: certificateOf(authority), cert: 'nonsense', key: 'nonsense' })],
])('at the start, a certificate %s ends it with one message', async (_name, tls) => {
  const api = await start();
  const cluster = follow(api, { access: access(api, tls) });
  running.push(cluster);
  await expect(cluster.ended).rejects.toMatchObject({
    name: 'KubeApiError',
    failure: 'certificate',
    message: expect.stringContaining('certificates do not fit'),
  });
});

test('later, it passes: what is known stays until the right one is back', async () => {
  const api = await start();
  let trusted = authority;
  const cluster = follow(api, {
    access: access(api, () => ({ ca: certificateOf(trusted), servername: 'api.example' })),
  });
  running.push(cluster);
  await cluster.untilSynced();
  await cluster.until(() => api.openWatches.length === 7);
  trusted = stranger;
  api.cutWatches();
  await cluster.until(() => cluster.diagnostics.some(({ message }) => message.includes('certificates do not fit')));
  expect(cluster.synced).toBe(true);
  trusted = authority;
  api.store.put(paths.namespaces, { metadata: { name: 'late' } });
  await cluster.until(() => cluster.state.namespaces.has('late') && cluster.diagnostics.length === 0);
});

test('insecure is insecure', async () => {
  const api = await start();
  const cluster = follow(api, { access: access(api, () => ({ rejectUnauthorized: false })) });
  running.push(cluster);
  await cluster.untilSynced();
});
