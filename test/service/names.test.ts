/** Chain names against what kube-proxy's own functions gave. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Protocol } from '../../src/cluster/objects.ts';
import { chainNameLimit } from '../../src/dataplane/names.ts';
import { joinHostPort } from '../../src/lib/ip.ts';
import {
  balanceChain,
  dispatchChain,
  endpointChain,
  portChain,
  servicePortHash,
  servicePortName,
} from '../../src/service/names.ts';
import { ip } from './fixtures.ts';

interface Vectors {
  readonly services: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly port: string;
    readonly protocol: Protocol;
    readonly servicePortName: string;
    readonly svc: string;
    readonly svl: string;
    readonly ext: string;
    readonly fw: string;
  }[];
  readonly endpoints: readonly {
    readonly servicePortName: string;
    readonly protocol: Protocol;
    readonly ip: string;
    readonly port: number;
    readonly endpoint: string;
    readonly sep: string;
  }[];
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- recorded data of a known shape
const vectors = JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/service-names.json'), 'utf8')) as Vectors;

test('there are vectors', () => {
  expect([vectors.services.length, vectors.endpoints.length]).toEqual([48, 36]);
});

test.each(vectors.services)('1: $servicePortName $protocol', (vector) => {
  const name = servicePortName(`${vector.namespace}/${vector.name}`, vector.port);
  const hash = servicePortHash(name, vector.protocol);
  const chains = (['SVC', 'SVL', 'EXT', 'FW'] as const).map((kind) => portChain(kind, hash));
  expect([name, ...chains]).toEqual([vector.servicePortName, vector.svc, vector.svl, vector.ext, vector.fw]);
});

test.each(vectors.endpoints)('1: $servicePortName -> $endpoint', (vector) => {
  const endpoint = joinHostPort(ip(vector.ip), vector.port);
  expect(endpoint).toBe(vector.endpoint);
  expect(endpointChain(vector.servicePortName, vector.protocol, endpoint)).toBe(vector.sep);
});

test('our own names fit the kernel, the longest too', () => {
  const parent = portChain('SVC', servicePortHash('default/web', 'TCP'));
  const address = 'fd000010009600000000000000000041';
  const names = [
    balanceChain(parent, 'ff'),
    ...['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-EXTERNAL', 'KUBE-EXTERNAL-NP', 'KUBE-PROXY-FW'].map((base) =>
      dispatchChain(base, `${address}0753`),
    ),
  ];
  expect(names.filter((name) => name.length > chainNameLimit)).toEqual([]);
  expect(dispatchChain('KUBE-SERVICES', '0a60')).toBe('KUBE-SERVICES-0a60');
  expect(dispatchChain('KUBE-SERVICES', '0a6000290005')).toBe('KUBE-SERVICES-0a6000290005');
  expect(dispatchChain('KUBE-SERVICES', '0a600029000500')).toBe('KUBE-SERVICES-0a600029000500');
  expect(dispatchChain('KUBE-SERVICES', address)).toMatch(/^KUBE-SERVICES-x[0-9a-f]{13}$/);
});
