/** The largest and the longest that the API allows, on a real kernel: it takes them, and says them back. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { cidr, endpoint, service, slice } from '../service/fixtures.ts';
import { Bench } from '../service/fixtures.ts';
import type { Netns } from './netns.ts';
import { createNetns, describeKernel } from './netns.ts';

const longest = 'a'.repeat(63);

/** Every comment as long as it can be. */
function longNames(): Bench {
  const key = `${longest}/${longest}`;
  const ports = [{ name: longest, port: 80, nodePort: 30_080 }];
  return new Bench().set(
    service(key, {
      type: 'LoadBalancer',
      clusterIps: ['172.30.0.1', 'fd00:172::1'],
      loadBalancerIps: ['203.0.113.1', '2001:db8::1'],
      loadBalancerSourceRanges: [cidr('192.168.0.0/16'), cidr('fd00:192::/32')],
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32_000,
      sessionAffinitySeconds: 60,
      ports,
    }),
    slice(key, [endpoint('10.1.0.1', 'here')], { ports: [{ name: longest, protocol: 'TCP', port: 65_535 }] }),
    slice(key, [endpoint('fd00:10:1111:2222:3333:4444:5555:6666', 'here')], {
      suffix: 'v6',
      ports: [{ name: longest, protocol: 'TCP', port: 65_535 }],
    }),
  );
}

function manyEndpoints(): Bench {
  const endpoints = Array.from({ length: 5000 }, (_, index) =>
    endpoint(`10.1.${Math.floor(index / 250)}.${(index % 250) + 1}`),
  );
  return new Bench({}, ['ipv4']).set(
    service('ns/huge'),
    slice('ns/huge', endpoints),
    service('ns/good', { clusterIps: ['172.30.0.9'] }),
    slice('ns/good', [endpoint('10.2.0.1')]),
  );
}

describeKernel('the largest and the longest', () => {
  let netns: Netns;
  beforeEach(async () => {
    netns = await createNetns('bad');
  });
  afterEach(() => netns.destroy());

  function writer(variant: 'nft' | 'legacy', families: readonly ('ipv4' | 'ipv6')[]): KernelWriter {
    const ownership = { services: true };
    return new KernelWriter({ backend: new KernelBackend({ run: netns.run, variant, families, ownership }) });
  }

  for (const variant of ['nft', 'legacy'] as const) {
    test(`${variant}: names of 63 characters`, async () => {
      const { dataplane } = longNames();
      const report = await writer(variant, ['ipv4', 'ipv6']).resync(dataplane);
      expect(report.refused).toEqual([]);
      const again = await writer(variant, ['ipv4', 'ipv6']).resync(dataplane);
      expect(again.writes).toBe(0);
    });

    test(`${variant}: 5,000 endpoints`, async () => {
      const bench = manyEndpoints();
      const own = writer(variant, ['ipv4']);
      const report = await own.resync(bench.dataplane);
      expect(report.refused).toEqual([]);
      const saved = await netns.exec(['iptables-' + variant + '-save', '-t', 'nat']);
      expect(saved.match(/--to-destination 10\.1\./g)).toHaveLength(5000);
      expect(saved).toContain('--to-destination 10.2.0.1:80');
      expect((await own.resync(bench.dataplane)).writes).toBe(0);
    }, 120_000);
  }
});
