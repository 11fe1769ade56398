import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { ManifestError } from '../../src/manifests/manifest-error.ts';

async function directoryOf(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-load-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}

test("the seed's cluster", async () => {
  const { state, diagnostics } = await loadManifests('examples/seed', clusterDefaults());
  expect(diagnostics).toEqual([]);
  expect([...state.nodes.keys()]).toEqual(['minikube']);
  expect([...state.pods].map(([key, { ips, nodeName, labels }]) => [key, ...ips, nodeName, labels])).toEqual([
    [
      'default/backend-867fd6dff-mjf92',
      '10.88.0.27',
      'minikube',
      { app: 'backend', 'pod-template-hash': '867fd6dff', 'networking/allow-db-access': 'true' },
    ],
    ['default/db-8d66ff5f7-bp6kf', '10.88.0.26', 'minikube', { app: 'db', 'pod-template-hash': '8d66ff5f7' }],
    ['default/frontend-8b474f47-zdqdv', '10.88.0.24', 'minikube', { app: 'frontend', 'pod-template-hash': '8b474f47' }],
  ]);
  expect([...state.services.keys()]).toEqual(['default/backend', 'default/db', 'default/frontend']);
  const endpoints = [...state.endpointSlices.values()].map((slice) => [
    slice.service,
    slice.ports[0]?.port,
    slice.endpoints.map((endpoint) => endpoint.addresses[0]),
  ]);
  expect(endpoints).toEqual([
    ['backend', 80, ['10.88.0.27']],
    ['db', 80, ['10.88.0.26']],
    ['frontend', 80, ['10.88.0.24']],
  ]);
  const [policy] = state.networkPolicies.values();
  expect(policy).toMatchObject({
    name: 'allow-db-access',
    namespace: 'default',
    isolatesIngress: true,
    isolatesEgress: false,
    location: { file: 'policy/allow-db-access.yaml', line: 2 },
  });
});

test('without its policy folder the seed has no policy', async () => {
  const { state } = await loadManifests('examples/seed/cluster.yaml', clusterDefaults());
  expect(state.pods.size).toBe(3);
  expect(state.networkPolicies.size).toBe(0);
});

test('messages of files, of what is filled in and of lint, each with its place', async () => {
  const directory = await directoryOf({
    'b.yaml': 'apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nstatus: {podIP: 10.0.0.1}\n',
    'a.yaml': 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.0.0.1}\n---\nkind: x\n',
    'p.yaml':
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n  podSelector: {matchLabels: {a: b}}\n',
  });
  const { state, diagnostics } = await loadManifests(directory, clusterDefaults());
  expect(diagnostics.map(formatDiagnostic)).toEqual([
    'a.yaml:6: apiVersion: missing, expected the API group and version of the object',
    'b.yaml:1: warning: 10.0.0.1 is also the address of Pod default/a',
    'p.yaml:5: spec.podSelector: warning: selects no pod of namespace default',
  ]);
  expect([...state.pods.keys()]).toEqual(['default/a', 'default/b']);
});

test('nothing there', async () => {
  const directory = await directoryOf({});
  await expect(loadManifests(join(directory, 'x'), clusterDefaults())).rejects.toThrow(ManifestError);
  const { state, diagnostics } = await loadManifests(directory, clusterDefaults());
  expect(diagnostics).toEqual([]);
  expect(state.pods.size).toBe(0);
});

test('a file that cannot be read is an error of its own', async () => {
  const directory = await directoryOf({ 'a.yaml': 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n' });
  await symlink(tmpdir(), join(directory, 'b.yaml'));
  const { state, diagnostics } = await loadManifests(directory, clusterDefaults());
  expect(diagnostics.map(formatDiagnostic)).toEqual(['b.yaml: is a directory, expected a file']);
  expect(state.pods.size).toBe(1);
});
