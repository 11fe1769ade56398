/** What people write wrong about Services, from YAML to rules: a message with file and line, and nobody else is disturbed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { Bench } from './fixtures.ts';
import { probe } from './flows.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-bad-input-'));
afterAll(() => rmSync(directory, { recursive: true }));

interface Backed {
  readonly name: string;
  readonly clusterIp: string;
  readonly spec?: string;
  readonly addresses: readonly string[];
  readonly port?: number;
}

function backed({ name, clusterIp, spec = 'ports: [{ port: 80 }]', addresses, port = 80 }: Backed): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { clusterIP: ${clusterIp}, ${spec} }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
ports: [{ port: ${port} }]
endpoints: [${addresses.map((address) => `{ addresses: ["${address}"] }`).join(', ')}]
`;
}

const good = backed({ name: 'good', clusterIp: '10.96.0.9', addresses: ['10.1.0.9'] });

async function load(bad: string): Promise<{ readonly bench: Bench; readonly messages: readonly string[] }> {
  writeFileSync(join(directory, 'bad.yaml'), bad);
  writeFileSync(join(directory, 'good.yaml'), good);
  const { state, diagnostics } = await loadManifests(directory, clusterDefaults());
  const bench = new Bench().set(...state.services.values(), ...state.endpointSlices.values());
  return { bench, messages: [...diagnostics, ...bench.diagnostics].map(formatDiagnostic) };
}

const longName = `n${'a'.repeat(62)}`;

test.each<[string, Backed, readonly string[], string]>([
  [
    'an address of the wrong family',
    {
      name: 'web',
      clusterIp: '10.96.0.1',
      spec: 'externalIPs: ["2001:db8::1"], ports: [{ port: 80 }]',
      addresses: ['10.1.0.1'],
    },
    [
      'bad.yaml:4: spec.externalIPs[0]: warning: 2001:db8::1 is not served, expected an address of the family of a clusterIP',
    ],
    '10.1.0.1:80',
  ],
  [
    'a port out of range',
    { name: 'web', clusterIp: '10.96.0.1', spec: 'ports: [{ port: 70000 }]', addresses: ['10.1.0.1'] },
    ['bad.yaml:4: spec.ports[0].port: 70000 is not a port, expected 1-65535'],
    '10.96.0.1:80',
  ],
  [
    'a slice with a malformed address',
    { name: 'web', clusterIp: '10.96.0.1', addresses: ['10.1.0.1', '10.1.0.256'] },
    [
      'bad.yaml:11: endpoints[1].addresses[0]: "10.1.0.256" is not an IP address, expected one such as 10.0.0.1 or fd00::1',
    ],
    'reject',
  ],
  [
    'a slice with an address of the wrong family',
    { name: 'web', clusterIp: '10.96.0.1', addresses: ['10.1.0.1', 'fd00::1'] },
    ["bad.yaml:11: endpoints[1].addresses[0]: fd00::1 is not an IPv4 address, expected the slice's addressType"],
    'reject',
  ],
  [
    'a name at the length limit',
    { name: longName, clusterIp: '10.96.0.1', addresses: ['10.1.0.1'] },
    [],
    '10.1.0.1:80',
  ],
  [
    'a name beyond the length limit',
    { name: `${longName}a`, clusterIp: '10.96.0.1', addresses: ['10.1.0.1'] },
    [
      expect.stringMatching(/^bad\.yaml:3: metadata\.name: ".*" is not a name, expected .* at most 63/),
      expect.stringMatching(/^bad\.yaml:8: metadata\.labels\.kubernetes\.io\/service-name: ".*" is not a label value/),
      expect.stringContaining('the slice belongs to no Service'),
    ],
    '10.96.0.1:80',
  ],
])('%s', async (_, bad, expected, reaches) => {
  const alone = (await load('')).bench.text();
  const { bench, messages } = await load(backed(bad));
  expect(messages).toEqual(expected);
  const answer = probe(bench, { from: 'pod', to: bad.clusterIp, port: 80 });
  expect(typeof answer === 'string' ? answer : answer.reaches.join()).toBe(reaches);
  expect(probe(bench, { from: 'pod', to: '10.96.0.9', port: 80 })).toMatchObject({ reaches: ['10.1.0.9:80'] });
  const ofGood = Object.entries(alone).filter(([name]) => /KUBE-(SVC|SEP)-/.test(name));
  expect(ofGood).toHaveLength(2);
  expect(bench.text()).toMatchObject(Object.fromEntries(ofGood));
});

test('5,000 endpoints in one Service: all of them, and nobody else is rewritten when one goes', async () => {
  const addresses = Array.from({ length: 5000 }, (_, index) => `10.1.${Math.floor(index / 250)}.${(index % 250) + 1}`);
  const bad = (some: readonly string[]) => backed({ name: 'huge', clusterIp: '10.96.0.1', addresses: some, port: 81 });
  const { bench, messages } = await load(bad(addresses));
  expect(messages).toEqual([]);
  expect(bench.port('default/huge').clusterEndpoints).toHaveLength(5000);
  expect(bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SEP-'))).toHaveLength(5001);
  const [slice] = [...bench.store.endpointSlices.values()].filter(({ service }) => service === 'huge');
  if (slice === undefined) throw new Error('the slice is there');
  bench.set({ ...slice, endpoints: slice.endpoints.slice(1) });
  // Its own chain is gone, and the branches that lead to it are rewritten: not the other 4,999.
  expect(bench.touched.filter((name) => name.includes('KUBE-SEP-'))).toHaveLength(1);
  expect(bench.touched.length).toBeLessThan(40);
});
