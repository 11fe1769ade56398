/** Services as an API server sends them, from JSON to rules: what objects from before its stricter checks still hold, and what nothing checks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { generateCluster } from '../../e2e/differential/generate.ts';
import type { ClusterObject, ObjectKind } from '../../src/cluster/objects.ts';
import { ObjectReader } from '../../src/kube/object-reader.ts';
import { allResources } from '../../src/kube/resources.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { Bench } from './fixtures.ts';
import { probe } from './flows.ts';

interface Read {
  readonly object: ClusterObject;
  readonly messages: readonly string[];
}

/** As a watch delivers it. */
function read(kind: ObjectKind, fields: object): Read {
  const resource = allResources.find((one) => one.kind === kind);
  if (resource === undefined) throw new Error(`${kind} is followed`);
  const reader = new ObjectReader(resource);
  const event = reader.event(JSON.stringify({ type: 'ADDED', object: fields }));
  if (event?.type !== 'set' || event.read.object === undefined) throw new Error(`the ${kind} is read`);
  return { object: event.read.object, messages: reader.diagnostics.map(({ path, message }) => `${path}: ${message}`) };
}

function metadata(name: string, labels = {}) {
  return { name, namespace: 'ns1', uid: name, resourceVersion: '1', labels };
}

function service(spec: Readonly<Record<string, unknown>>, ...ingress: readonly object[]): Read {
  const ports = [{ name: 'p80', port: 80, protocol: 'TCP', nodePort: 3001 }];
  return read('Service', {
    metadata: metadata('svc1'),
    spec: { type: 'LoadBalancer', clusterIP: '172.30.0.41', ports, ...spec },
    status: { loadBalancer: { ingress } },
  });
}

function slice(...addresses: readonly (readonly string[])[]): Read {
  return read('EndpointSlice', {
    metadata: metadata('svc1-x', { 'kubernetes.io/service-name': 'svc1' }),
    addressType: 'IPv4',
    ports: [{ name: 'p80', port: 80, protocol: 'TCP' }],
    endpoints: addresses.map((list) => ({ addresses: list })),
  });
}

const hash = 'XPGD46QRK7WJZT7O'; // ns1/svc1:p80, tcp

describe('20: addresses that an API server of before let through mean what they mean to kube-proxy', () => {
  /** The Service of kube-proxy's own test of them, and the same in today's spelling. */
  const old = service(
    { clusterIP: '172.30.0.041', externalIPs: ['192.168.099.022'], loadBalancerSourceRanges: ['203.0.113.000/025'] },
    { ip: '1.2.3.004' },
  );
  const plain = service(
    { externalIPs: ['192.168.99.22'], loadBalancerSourceRanges: ['203.0.113.0/25'] },
    { ip: '1.2.3.4' },
  );
  const bench = new Bench().set(old.object, slice(['10.180.00.001']).object);

  test('leading zeros are decimal, in every field', () => {
    expect(bench.text()).toEqual(new Bench().set(plain.object, slice(['10.180.0.1']).object).text());
    expect(bench.rules('nat', 'KUBE-SEP-SXIVWICOYRO3J4NJ').at(-1)).toMatch(/--to-destination 10\.180\.0\.1:80$/);
  });

  test('source ranges with them shut as many out as without: none is left out and nobody let in by it', () => {
    expect(bench.rules('nat', `KUBE-FW-${hash}`)[0]).toContain(' -s 203.0.113.0/25 ');
    const from = (source: string) => probe(bench, { from: 'outside', source, to: '1.2.3.4', port: 80 });
    expect(from('203.0.113.9')).toMatchObject({ reaches: ['10.180.0.1:80'] });
    expect(from('203.0.113.200')).toBe('drop');
  });

  test('an IPv4 address written as an IPv6 one is the IPv4 one', () => {
    const mapped = service(
      {
        clusterIP: '::ffff:172.30.0.41',
        externalIPs: ['::ffff:192.168.99.022'],
        loadBalancerSourceRanges: ['::ffff:203.0.113.0/121'],
      },
      { ip: '::FFFF:102:304' },
    );
    const alike = new Bench().set(mapped.object, slice(['::ffff:10.180.0.1']).object);
    expect(alike.text()).toEqual(bench.text());
  });

  test('each is told, with how it was read', () => {
    expect(old.messages).toEqual([
      'spec.clusterIPs[0]: "172.30.0.041" is an old spelling, read as 172.30.0.41',
      'spec.externalIPs[0]: "192.168.099.022" is an old spelling, read as 192.168.99.22',
      'status.loadBalancer.ingress[0].ip: "1.2.3.004" is an old spelling, read as 1.2.3.4',
      'spec.loadBalancerSourceRanges[0]: "203.0.113.000/025" is an old spelling, read as 203.0.113.0/25',
    ]);
    expect(plain.messages).toEqual([]);
  });
});

test('95: only the first address counts, also where it cannot be read', () => {
  const { object, messages } = slice(['10.180.0.256', '10.180.0.7'], ['10.180.0.1', '10.180.0.8']);
  expect(messages).toEqual([expect.stringMatching(/^endpoints\[0\]\.addresses\[0\]: "10\.180\.0\.256" is not an IP/)]);
  const bench = new Bench().set(service({}).object, object);
  expect(bench.port('ns1/svc1').endpoints).toMatchObject([{ address: '10.180.0.1' }]);
});

const directory = mkdtempSync(join(tmpdir(), 'sluice-readers-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('what an API server sends and the same as a manifest are the same rules', async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const { cases } = generateCluster(seed);
    const services = cases.map(({ service: one }) => one);
    const slices = cases.flatMap((one) => one.slices);
    writeFileSync(
      join(directory, 'all.yaml'),
      [...services, ...slices].map((one) => JSON.stringify(one)).join('\n---\n'),
    );
    const defaults = clusterDefaults({ ipFamilies: ['ipv4', 'ipv6'] });
    const { state, diagnostics } = await loadManifests(directory, defaults);
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const watched = [
      ...services.map((one) => read('Service', versioned(one))),
      ...slices.map((one) => read('EndpointSlice', versioned(one))),
    ];
    expect(watched.flatMap(({ messages }) => messages)).toEqual([]);
    const followed = new Bench().set(...watched.map(({ object }) => object));
    const loaded = new Bench().set(...state.services.values(), ...state.endpointSlices.values());
    expect(loaded.text()).toEqual(followed.text());
  }
});

function versioned<Given extends { readonly metadata: object }>(object: Given): Given {
  return { ...object, metadata: { ...object.metadata, uid: 'u', resourceVersion: '1' } };
}
