/** The parts of the differential test (e2e/differential) that need no kube-proxy: clusters from seeds, rules as data, what counts as a difference. */
import { describe, expect, test } from 'vitest';
import type { TestCluster } from '../../e2e/differential/api-objects.ts';
import { whyByDesign } from '../../e2e/differential/by-design.ts';
import { compareOutcomes } from '../../e2e/differential/compare-outcomes.ts';
import { compareRules } from '../../e2e/differential/compare-rules.ts';
import { generateCluster } from '../../e2e/differential/generate.ts';
import { TracedNode } from '../../e2e/differential/outcome.ts';
import { probesOf } from '../../e2e/differential/probes.ts';
import type { SavedRules } from '../../e2e/differential/read-rules.ts';
import { readDataplane, readRule } from '../../e2e/differential/read-rules.ts';
import { nodeAddresses } from '../../e2e/differential/topology.ts';

describe('clusters from seeds', () => {
  const clusters = Array.from({ length: 200 }, (_, seed) => generateCluster(seed));

  test('a seed makes one cluster, another seed another', () => {
    expect(generateCluster(7)).toEqual(generateCluster(7));
    expect(generateCluster(7)).not.toEqual(generateCluster(8));
  });

  test('every kind of Service and slice comes up', () => {
    const text = JSON.stringify(clusters);
    const kinds = [
      '"type":"ClusterIP"',
      '"type":"NodePort"',
      '"type":"LoadBalancer"',
      '"type":"ExternalName"',
      '"clusterIP":"None"',
      '"protocol":"UDP"',
      '"protocol":"SCTP"',
      '"ipFamilies":["IPv6","IPv4"]',
      '"ipMode":"VIP"',
      '"ipMode":"Proxy"',
      '"loadBalancerSourceRanges"',
      '"externalIPs"',
      '"externalTrafficPolicy":"Local"',
      '"internalTrafficPolicy":"Local"',
      '"sessionAffinity":"ClientIP"',
      '"publishNotReadyAddresses":true',
      'service.kubernetes.io/service-proxy-name',
      'service.kubernetes.io/headless',
      '"allocateLoadBalancerNodePorts":false',
      '"forZones"',
      '"forNodes"',
      '"terminating":true',
      '"addressType":"FQDN"',
    ];
    expect(kinds.filter((kind) => !text.includes(kind))).toEqual([]);
    expect(clusters.some(({ cases }) => cases.length > 32)).toBe(true);
    expect(
      clusters.some(({ cases }) => cases.some(({ slices }) => slices.some((one) => one.endpoints.length > 8))),
    ).toBe(true);
  });

  test('no two Services of a cluster share what only one can have', () => {
    for (const { cases } of clusters) {
      const own = cases.flatMap(({ service: { spec, status } }) => {
        const ports = spec.ports ?? [];
        const balanced = (status?.loadBalancer.ingress ?? []).flatMap(({ ip }) => ip ?? []);
        // Of one Service an address may be both.
        const outer = [...new Set([...(spec.externalIPs ?? []), ...balanced])];
        return [
          ...(spec.clusterIPs ?? []).filter((ip) => ip !== 'None'),
          ...new Set(ports.flatMap(({ nodePort }) => nodePort ?? [])),
          ...(spec.healthCheckNodePort === undefined ? [] : [spec.healthCheckNodePort]),
          ...outer.flatMap((ip) => ports.map(({ port, protocol }) => `${ip} ${port}/${protocol}`)),
        ];
      });
      expect(new Set(own).size).toBe(own.length);
    }
  });
});

test('some balancers have an address of the node, some one of the Service’s external IPs', () => {
  const made = Array.from({ length: 60 }, (_, seed) => generateCluster(seed)).flatMap(({ cases }) => cases);
  const balanced = made.map(({ service: { spec, status } }) => ({
    externalIPs: spec.externalIPs ?? [],
    ips: (status?.loadBalancer.ingress ?? []).flatMap(({ ip }) => ip ?? []),
  }));
  const own: readonly string[] = Object.values(nodeAddresses);
  expect(balanced.filter(({ ips }) => ips.some((ip) => own.includes(ip))).length).toBeGreaterThan(3);
  expect(balanced.filter(({ ips, externalIPs }) => ips.some((ip) => externalIPs.includes(ip))).length).toBeGreaterThan(
    0,
  );
});

describe('rules as iptables-save prints them', () => {
  test('matches and targets', () => {
    const text =
      '-d 10.96.0.1/32 ! -i cni0 -p tcp -m comment --comment "a b -> c" -m tcp --dport 443 -m statistic --mode random --probability 0.33333333349 -j KUBE-SVC-X';
    expect(readRule(text)).toMatchObject({
      comments: ['a b -> c'],
      action: { kind: 'jump', chain: 'KUBE-SVC-X' },
      matches: [
        { kind: 'address', side: 'destination', cidr: { address: '10.96.0.1', prefixLength: 32 } },
        { kind: 'interface', direction: 'in', name: 'cni0', negate: true },
        { kind: 'protocol', protocol: 'tcp' },
        { kind: 'port', side: 'destination', port: 443 },
        { kind: 'probability', probability: 1 / 3 },
      ],
    });
  });

  test.each([
    ['-j MARK --set-xmark 0x4000/0x4000', { kind: 'set-mark', value: 0x4000, mask: 0x4000 }],
    ['-j MARK --set-xmark 0x4000/0x0', { kind: 'xor-mark', value: 0x4000 }],
    ['-p udp -j DNAT --to-destination [fd00::1]:53', { kind: 'dnat', address: 'fd00::1', port: 53 }],
    ['-j MASQUERADE --random-fully', { kind: 'masquerade', randomFully: true }],
    ['-g KUBE-SERVICES-0a', { kind: 'goto', chain: 'KUBE-SERVICES-0a' }],
    ['-j REJECT --reject-with icmp-port-unreachable', { kind: 'reject' }],
  ])('%s', (text, action) => {
    expect(readRule(text).action).toEqual(action);
  });

  test.each(['-m ttl --ttl-eq 1 -j DROP', '-j TPROXY --on-port 1', '-m addrtype --dst-type BROADCAST -j DROP'])(
    'what is not known is an error: %s',
    (text) => {
      expect(() => readRule(text)).toThrow(/not known/);
    },
  );
});

/** One Service with two endpoints, in the text of both: the same, unless `without` leaves rules out of Sluice's. */
function savedRules(without?: string): SavedRules {
  const lines = [
    '*nat',
    ...['PREROUTING', 'OUTPUT', 'POSTROUTING'].map((name) => `:${name} ACCEPT [0:0]`),
    ...['SERVICES', 'NODEPORTS', 'SVC-A', 'SEP-1', 'SEP-2', 'MARK-MASQ', 'POSTROUTING'].map(
      (name) => `:KUBE-${name} - [0:0]`,
    ),
    '-A PREROUTING -j KUBE-SERVICES',
    '-A OUTPUT -j KUBE-SERVICES',
    '-A POSTROUTING -j KUBE-POSTROUTING',
    '-A KUBE-SERVICES -d 10.96.130.1/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-A',
    '-A KUBE-SVC-A ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ',
    '-A KUBE-SVC-A -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-1',
    '-A KUBE-SVC-A -j KUBE-SEP-2',
    '-A KUBE-SEP-1 -s 10.244.1.11/32 -j KUBE-MARK-MASQ',
    '-A KUBE-SEP-1 -p tcp -m tcp -j DNAT --to-destination 10.244.1.11:8080',
    '-A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination 10.244.2.11:8080',
    '-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
    '-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
    '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
    'COMMIT',
  ];
  return { ipv4: lines.filter((line) => without === undefined || !line.includes(without)).join('\n'), ipv6: '' };
}

const cluster: TestCluster = {
  seed: 0,
  cases: [
    {
      service: {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'default' },
        spec: { type: 'ClusterIP', clusterIPs: ['10.96.130.1'], ports: [{ protocol: 'TCP', port: 80 }] },
      },
      slices: [],
    },
  ],
};

describe('what two nodes do', () => {
  const nodeOf = (saved: SavedRules) =>
    new TracedNode(readDataplane(saved), { ofPod: (name) => `pod-${name}`, uplink: 'eth0' });
  const outcomes = (sluice: SavedRules) =>
    compareOutcomes(cluster, { kubeProxy: nodeOf(savedRules()), sluice: nodeOf(sluice) });

  test('the same: nothing to tell, and every probe was asked', () => {
    expect(outcomes(savedRules())).toMatchObject({ probes: probesOf(cluster).length, differences: [] });
    expect(compareRules({ kubeProxy: savedRules(), sluice: savedRules() }).differences).toEqual([]);
  });

  test.each([
    ['a dispatch rule', '--dport 80'],
    ['a DNAT', '10.244.2.11:8080'],
    ['a masquerade', '! -s 10.244.0.0/16'],
    ['the dice', '-s 10.244.1.11/32'],
  ])('planted: %s is missing: by outcome and by text', (_, without) => {
    const found = outcomes(savedRules(without)).differences;
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]?.paths?.kubeProxy.length).toBeGreaterThan(0);
    const { differences } = compareRules({ kubeProxy: savedRules(), sluice: savedRules(without) });
    expect(differences).toHaveLength(1);
    expect([...found, ...differences].filter((difference) => whyByDesign(difference, cluster) !== undefined)).toEqual(
      [],
    );
  });

  test('an outcome tells shares and whom the endpoint sees', () => {
    const outside = probesOf(cluster).find(({ from, what }) => from === 'outside' && what === 'clusterIP');
    if (outside === undefined) throw new Error('no such probe');
    expect(nodeOf(savedRules()).outcomeOf(outside)).toEqual([
      '0.500000 10.244.1.11:8080 as 10.244.1.1',
      '0.500000 10.244.2.11:8080 as 172.31.77.2',
    ]);
  });
});
