/** Services as people write them, from YAML to plan: what the border reads is what is served. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import type { PlannedPort } from '../../src/service/plan.ts';
import { Bench } from './fixtures.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-services-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function planned(
  text: string,
): Promise<{ readonly port: PlannedPort | undefined; readonly messages: readonly string[] }> {
  const file = join(directory, 'service.yaml');
  writeFileSync(file, text);
  const { state, diagnostics } = await loadManifests(file, clusterDefaults({}));
  const objects: ClusterObject[] = [...state.services.values(), ...state.endpointSlices.values()];
  const bench = new Bench().set(...objects);
  return {
    port: bench.stage.plan.services.get('default/web')?.ports[0],
    messages: diagnostics.map(({ message }) => message),
  };
}

function balanced(spec: string, ingress: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: LoadBalancer, ports: [{ port: 80 }], ${spec} }
status: { loadBalancer: { ingress: ${ingress} } }
`;
}

test('43: an ingress that is only a host name has no address to serve', async () => {
  const { port, messages } = await planned(balanced('sessionAffinity: None', '[{ hostname: lb.example.com }]'));
  expect(messages).toEqual([]);
  expect(port).toMatchObject({ loadBalancerIps: [] });
});

test('42: an ingress of mode Proxy is the balancer’s own to serve', async () => {
  const { port } = await planned(
    balanced('sessionAffinity: None', '[{ ip: 203.0.113.1, ipMode: Proxy }, { ip: 203.0.113.2 }]'),
  );
  expect(port).toMatchObject({ loadBalancerIps: ['203.0.113.2'] });
});

test('47: spaces around source ranges mean nothing', async () => {
  const { port, messages } = await planned(
    balanced('loadBalancerSourceRanges: [" 10.1.0.0/16 ", "10.2.0.0/16\\t"]', '[{ ip: 203.0.113.1 }]'),
  );
  expect(messages).toEqual([]);
  expect(port?.sourceRanges.map(({ address }) => address)).toEqual(['10.1.0.0', '10.2.0.0']);
});

test('20: an address with leading zeros is a mistake and says so: two readings of it are two machines', async () => {
  const { messages } = await planned(balanced('clusterIP: 172.30.0.041', '[{ ip: 203.0.113.1 }]'));
  expect(messages).toEqual([expect.stringContaining('172.30.0.041')]);
});

test('96, 97: an endpoint without conditions is ready and serves; without a node it is on none', async () => {
  const { port } = await planned(`
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { ports: [{ port: 80 }], clusterIP: 10.96.0.9 }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.9.0.1] }]
`);
  expect(port?.clusterEndpoints).toMatchObject([
    { address: '10.9.0.1', port: 8080, ready: true, serving: true, terminating: false, local: false },
  ]);
});
