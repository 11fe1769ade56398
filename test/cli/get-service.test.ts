/** `get service`: every endpoint and every frontend, and why it is used or not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { frontendsOf } from '../../src/cli/get/service-frontends.ts';
import { Bench, cidr, endpoint, options, service, slice } from '../service/fixtures.ts';
import { runSluice } from './run-sluice.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-get-service-'));
afterAll(() => rmSync(directory, { recursive: true }));

const manifests = `apiVersion: v1
kind: Node
metadata: { name: node1 }
---
apiVersion: v1
kind: Pod
metadata: { name: good, labels: { app: web } }
spec: { nodeName: node1, containers: [{ name: c, ports: [{ name: http, containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: other-name, labels: { app: web } }
spec: { nodeName: node1, containers: [{ name: c, ports: [{ name: https, containerPort: 8443 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: ended, labels: { app: web } }
spec: { nodeName: node1, containers: [{ name: c, ports: [{ name: http, containerPort: 8080 }] }] }
status: { phase: Succeeded }
---
apiVersion: v1
kind: Pod
metadata: { name: asleep, labels: { app: asleep } }
spec: { nodeName: node1, containers: [{ name: c }] }
status: { conditions: [{ type: Ready, status: "False" }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: LoadBalancer, selector: { app: web }, ports: [{ port: 80, targetPort: http, nodePort: 30080 }] }
status: { loadBalancer: { ingress: [{ ip: 203.0.113.12, ipMode: Proxy }] } }
---
apiVersion: v1
kind: Service
metadata: { name: asleep }
spec: { clusterIP: None, selector: { app: asleep }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: by-hand }
spec: { ports: [{ name: a, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: by-hand-6, labels: { kubernetes.io/service-name: by-hand } }
addressType: IPv6
ports: [{ name: a, port: 80 }]
endpoints: [{ addresses: ["fd00::77"] }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: by-hand-4, labels: { kubernetes.io/service-name: by-hand } }
addressType: IPv4
ports: [{ name: b, port: 80 }, { name: a, protocol: UDP, port: 80 }]
endpoints: [{ addresses: ["10.88.27.99"], nodeName: node1 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: by-hand-2, labels: { kubernetes.io/service-name: by-hand } }
addressType: IPv4
ports: [{ name: a, port: 80 }]
endpoints: [{ addresses: ["10.88.27.1", "10.88.27.2"] }]
`;

interface Plan {
  readonly why?: string;
  readonly endpoints?: readonly object[];
  readonly ports: readonly [{ readonly frontends: readonly object[]; readonly endpoints: readonly object[] }];
}

async function planOf(name: string): Promise<Plan> {
  writeFileSync(join(directory, 'cluster.yaml'), manifests);
  const { stdout } = await runSluice(['get', 'svc', name, '-o', 'json', '--manifests', directory]);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is asserted
  return (JSON.parse(stdout) as { plan: Plan }).plan;
}

test('pods that the selector means, but that never came to be endpoints', async () => {
  const [{ endpoints, frontends }] = (await planOf('web')).ports;
  expect(endpoints).toEqual([
    expect.objectContaining({ pod: 'default/good', used: true }),
    expect.objectContaining({ pod: 'default/other-name', used: false, why: 'it has no TCP port called http' }),
    expect.objectContaining({ pod: 'default/ended', used: false, why: 'it has ended (Succeeded)' }),
  ]);
  expect(frontends[1]).toEqual({
    kind: 'load balancer',
    address: '203.0.113.12:80',
    served: false,
    why: 'ipMode Proxy: the load balancer takes the packets itself',
  });
});

test('endpoints of slices that the port cannot use', async () => {
  const [{ endpoints }] = (await planOf('by-hand')).ports;
  expect(endpoints).toEqual([
    expect.objectContaining({ address: '10.88.27.1:80', used: true }),
    { address: '10.88.27.2', used: false, why: 'it is not the first address of its endpoint' },
    { address: '10.88.27.99', node: 'node1', used: false, why: 'its slice has no TCP port called a' },
    { address: 'fd00::77', used: false, why: 'it is IPv6, and the Service has no IPv6 address' },
  ]);
  const wide = await runSluice(['get', 'svc', 'by-hand', '-o', 'wide', '--manifests', directory]);
  expect(wide.stdout).toMatch(/ 10\.88\.27\.1:80,\(3 not used\)$/m);
});

test('whom the name of a headless Service stands for', async () => {
  expect((await planOf('asleep')).endpoints).toEqual([
    expect.objectContaining({ pod: 'default/asleep', used: false, dns: 'not named: it is not ready' }),
  ]);
});

test('of many endpoints a table shows eight', async () => {
  const addresses = Array.from({ length: 5000 }, (_, index) => `10.9.${Math.floor(index / 250)}.${(index % 250) + 1}`);
  const file = join(directory, 'many.yaml');
  writeFileSync(
    file,
    `apiVersion: v1
kind: Service
metadata: { name: many }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: many-1, labels: { kubernetes.io/service-name: many } }
addressType: IPv4
ports: [{ port: 80 }]
endpoints: [${addresses.map((address) => `{ addresses: ["${address}"] }`).join(', ')}]
`,
  );
  const { stdout } = await runSluice(['get', 'svc', 'many', '-o', 'wide', '--manifests', file]);
  expect(stdout).toMatch(/ (10\.9\.\d+\.\d+:80,){8}\(4992 more\)$/m);
});

test.each([
  ['all of them', '192.0.2.0/0', ['*:30080']],
  ['its own', '192.168.0.0/24', ['192.168.0.2:30080']],
  ['its own and localhost', '192.168.0.0/24,127.0.0.0/8', ['192.168.0.2:30080', '127.0.0.1:30080']],
  ['none', '198.51.100.0/24', ['nodePortAddresses leaves out every address of this node']],
])('where a nodePort answers: %s', (_, cidrs, expected) => {
  const nodePorts = { ...options, nodePortAddresses: cidrs.split(',').map(cidr) };
  const bench = new Bench(nodePorts, ['ipv4']).set(
    service('ns/web', { type: 'NodePort', ports: [{ nodePort: 30_080 }] }),
    slice('ns/web', [endpoint('10.1.0.1')]),
  );
  const own = bench.store.services.get('ns/web');
  if (own === undefined) throw new Error('the Service is there');
  const [, ...outer] = frontendsOf(own, bench.port('ns/web'), nodePorts);
  expect(outer.map((one) => ('why' in one ? one.why : 'address' in one ? one.address : undefined))).toEqual(expected);
});

test('an address of a family that the Service has none of', () => {
  const own = service('ns/web', {
    type: 'LoadBalancer',
    externalIps: ['2001:db8::5'],
    loadBalancerIps: ['2001:db8::6'],
  });
  const bench = new Bench({}, ['ipv4', 'ipv6']).set(own, slice('ns/web', [endpoint('10.1.0.1')]));
  const why = 'the Service has no IPv6 address of its own';
  expect(frontendsOf(own, bench.port('ns/web'), options)).toEqual([
    expect.objectContaining({ kind: 'ClusterIP', served: true }),
    { kind: 'external IP', address: '[2001:db8::5]:80', served: false, why },
    { kind: 'load balancer', address: '[2001:db8::6]:80', served: false, why },
  ]);
});

test('external IPs that the administrator switched off', () => {
  const own = service('ns/web', { externalIps: ['198.51.100.1'] });
  const bench = new Bench({ externalIps: false }, ['ipv4']).set(own, slice('ns/web', [endpoint('10.1.0.1')]));
  const why = 'externalIPs are switched off (setting externalIps)';
  expect(frontendsOf(own, bench.port('ns/web'), options)).toEqual([
    expect.objectContaining({ kind: 'ClusterIP', served: true }),
    { kind: 'external IP', address: '198.51.100.1:80', served: false, why },
  ]);
});

test('a name that is nearly there', async () => {
  const { stderr, exitCode } = await runSluice(['get', 'svc', 'by-hnad', '--manifests', directory]);
  expect(stderr).toContain('sluice: get: nothing is called by-hnad in namespace default; did you mean by-hand?\n');
  expect(exitCode).toBe(2);
});
