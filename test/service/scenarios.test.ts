/** Scenarios of kube-proxy.md 4 that stand for themselves, by number. */
import { expect, test } from 'vitest';
import { Bench, endpoint, service, slice } from './fixtures.ts';
import { probe } from './flows.ts';

test('60: policy Local without anything that tells pods from others: a pod gets the local endpoints alone', () => {
  const shape = { type: 'NodePort', ports: [{ nodePort: 30_080 }], externalTrafficPolicy: 'Local' } as const;
  const objects = [service('ns/web', shape), slice('ns/web', [endpoint('10.0.0.1', 'here'), endpoint('10.0.9.9')])];
  const asked = { from: 'pod', to: '192.168.0.2', port: 30_080 } as const;
  const blind = new Bench({ detector: { kind: 'none' } }).set(...objects);
  expect(probe(blind, asked)).toEqual({ reaches: ['10.0.0.1:80'], masquerade: false });
  const seeing = new Bench().set(...objects);
  expect(probe(seeing, asked)).toEqual({ reaches: ['10.0.0.1:80', '10.0.9.9:80'], masquerade: false });
});

test('115: above 1,000 endpoints the rules of single endpoints have no comments; stale chains go at once all the same', () => {
  const bench = new Bench();
  for (let index = 0; index < 11; index += 1) {
    const endpoints = Array.from({ length: 100 }, (_, host) => endpoint(`10.1.${index}.${host + 1}`));
    bench.set(service(`ns/s${index}`, { clusterIps: [`172.30.1.${index + 1}`] }), slice(`ns/s${index}`, endpoints));
  }
  const chains = bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SEP-'));
  expect(chains).toHaveLength(1100);
  const commented = chains.filter((name) => bench.rules('nat', name).some((rule) => rule.includes('--comment')));
  expect(commented).toEqual([]);
  expect(bench.rules('nat', 'KUBE-SERVICES').every((rule) => rule.includes('--comment'))).toBe(true);
  bench.apply([{ type: 'delete', kind: 'Service', key: 'ns/s0' }]);
  expect(bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SEP-'))).toHaveLength(1000);
});
