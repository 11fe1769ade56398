/** What the node comes to know of itself while Services are served: only what depends on it is written anew. */
import { describe, expect, test } from 'vitest';
import { chainName } from '../../src/dataplane/names.ts';
import { Bench, cidr, endpoint, ip, options, service, slice } from './fixtures.ts';
import { probe } from './flows.ts';

const key = 'ns/web';
const jumps = (bench: Bench, family: 'ipv4' | 'ipv6' = 'ipv4'): readonly string[] =>
  bench.rules('nat', 'KUBE-SERVICES', family).filter((rule) => rule.includes('NOTE: this must be the last'));

function served(overrides: ConstructorParameters<typeof Bench>[0] = {}): Bench {
  return new Bench(overrides).set(
    service(key, { type: 'NodePort', ports: [{ nodePort: 30_080 }] }),
    slice(key, [endpoint('10.1.0.1')]),
  );
}

describe('addresses of the node', () => {
  const chosen = { nodePortAddresses: [cidr('192.168.0.0/24'), cidr('10.0.0.0/8')] };

  test('one that appears answers on nodePorts, and nothing but the dispatch is written', () => {
    const bench = served(chosen);
    expect(jumps(bench)).toEqual([expect.stringContaining('-d 192.168.0.2 -j KUBE-NODEPORTS')]);
    bench.apply([], { ...chosen, nodeAddresses: [...options.nodeAddresses, ip('10.0.0.5')] });
    expect(jumps(bench)).toEqual([
      expect.stringContaining('-d 192.168.0.2 -j KUBE-NODEPORTS'),
      expect.stringContaining('-d 10.0.0.5 -j KUBE-NODEPORTS'),
    ]);
    expect(bench.touched).toEqual(['nat KUBE-SERVICES']);
    bench.apply([], chosen);
    expect(jumps(bench)).toHaveLength(1);
    expect(bench.text()).toEqual(served(chosen).text());
  });

  test('where nodePorts answer on every address, nothing is written', () => {
    const bench = served();
    bench.apply([], { nodeAddresses: [ip('192.168.0.2'), ip('10.0.0.5')] });
    expect(bench.touched).toEqual([]);
  });

  test('a /0 among the chosen ranges is every address, whatever else is chosen', () => {
    expect(jumps(served({ nodePortAddresses: [cidr('10.0.0.0/8'), cidr('0.0.0.0/0')] }))).toEqual(jumps(served()));
  });

  test('127.0.0.1 answers where it is chosen, and in its own family alone', () => {
    const choice = { nodePortAddresses: [cidr('127.0.0.0/8'), cidr('fd00:192::/64')] };
    expect(jumps(served(choice))).toEqual([expect.stringContaining('-d 127.0.0.1 -j KUBE-NODEPORTS')]);
    expect(jumps(served(choice), 'ipv6')).toEqual([expect.stringContaining('-d fd00:192::2 -j KUBE-NODEPORTS')]);
  });

  test('a Service that lets the node in by its address is decided again', () => {
    const balancer = {
      type: 'LoadBalancer',
      clusterIps: ['172.30.0.42'],
      loadBalancerIps: ['203.0.113.1'],
      loadBalancerSourceRanges: [cidr('192.168.7.0/24')],
    } as const;
    const bench = served().set(service('ns/lb', balancer), slice('ns/lb', [endpoint('10.1.0.2')]));
    expect(bench.port('ns/lb').nodeInSourceRanges).toBe(false);
    bench.apply([], { nodeAddresses: [ip('192.168.7.2'), ip('192.168.0.2')] });
    expect(bench.port('ns/lb').nodeInSourceRanges).toBe(true);
    expect(bench.touched.every((name) => name.includes('KUBE-FW-'))).toBe(true);
    expect(bench.touched).toHaveLength(1);
  });
});

test('where nodePorts stop answering on localhost, the chain that guards it goes', () => {
  const bench = served();
  expect(bench.chainNames('filter')).toContain('KUBE-FIREWALL');
  const chosen = { nodePortAddresses: [cidr('192.168.0.2/32')] };
  bench.apply([], chosen);
  expect(bench.chainNames('filter')).not.toContain('KUBE-FIREWALL');
  expect(bench.stage.hooks('ipv4').filter(({ rule }) => JSON.stringify(rule).includes('KUBE-FIREWALL'))).toEqual([]);
  expect(bench.text()).toEqual(served(chosen).text());
});

test('a detector that becomes known is in every Service’s chains', () => {
  const bench = served({ detector: { kind: 'none' } });
  expect(probe(bench, { from: 'outside', to: '172.30.0.41', port: 80 })).toMatchObject({ masquerade: false });
  bench.apply([], { detector: { kind: 'nodeCidr', cidrs: [cidr('10.0.0.0/24')] } });
  expect(probe(bench, { from: 'outside', to: '172.30.0.41', port: 80 })).toMatchObject({ masquerade: true });
  expect(bench.text()).toEqual(served({ detector: { kind: 'nodeCidr', cidrs: [cidr('10.0.0.0/24')] } }).text());
});

test('a conntrack that becomes liberal takes the INVALID drop away, and nothing else changes', () => {
  const bench = served();
  bench.apply([], { conntrackLiberal: true });
  expect(bench.touched).toEqual(['filter KUBE-FORWARD', 'filter KUBE-FORWARD']);
  expect(bench.rules('filter', 'KUBE-FORWARD').join('\n')).not.toContain('INVALID');
});

describe('ServiceCIDRs', () => {
  const range = (name: string, ...cidrs: readonly string[]) =>
    ({ kind: 'ServiceCIDR', name, labels: {}, cidrs: cidrs.map(cidr) }) as const;
  const nobodys = { from: 'pod', to: '172.30.9.9', port: 80 } as const;

  test('a ClusterIP that no Service has is dropped, as kube-proxy does it in nftables mode', () => {
    const bench = served().set(range('kubernetes', '172.30.0.0/16', 'fd00:172::/112'));
    expect(bench.rules('filter', 'KUBE-SERVICES')).toEqual([
      '-m comment --comment "unallocated cluster IPs" -d 172.30.0.0/16 -m addrtype ! --dst-type LOCAL -j DROP',
    ]);
    for (const from of ['pod', 'node', 'outside'] as const) {
      expect(probe(bench, { ...nobodys, from })).toBe('drop');
      expect(probe(bench, { from, to: 'fd00:172::9', port: 80 })).toBe('drop');
    }
    expect(probe(bench, { ...nobodys, to: '172.30.0.41' })).toMatchObject({ reaches: ['10.1.0.1:80'] });
    expect(probe(bench, { ...nobodys, to: '172.30.0.41', port: 81 })).toBe('drop');
    expect(probe(bench, { ...nobodys, to: '172.31.0.1' })).toMatchObject({ reaches: ['172.31.0.1:80'] });
  });

  test('ranges stand in one order, in whatever order they come', () => {
    const ranges = [
      range('a', '172.31.0.0/16'),
      range('b', '10.96.0.0/16', '172.30.0.0/16'),
      range('c', '10.97.0.0/16'),
    ];
    const drops = [ranges, ranges.toReversed()].map((order) =>
      new Bench()
        .set(...order)
        .rules('filter', 'KUBE-SERVICES')
        .map((rule) => / -d (\S+) /.exec(rule)?.[1]),
    );
    const expected = ['10.96.0.0/16', '10.97.0.0/16', '172.30.0.0/16', '172.31.0.0/16'];
    expect(drops).toEqual([expected, expected]);
  });

  test('what has no endpoints is refused all the same', () => {
    const bench = new Bench().set(range('kubernetes', '172.30.0.0/16'), service(key));
    expect(probe(bench, { from: 'pod', to: '172.30.0.41', port: 80 })).toBe('reject');
  });

  test('126: a Service of a second range is served; a range comes and goes', () => {
    const bench = served().set(range('kubernetes', '172.30.0.0/16'), range('more', '10.200.0.0/24', '172.30.0.0/16'));
    bench.set(service('ns/new', { clusterIps: ['10.200.0.7'] }), slice('ns/new', [endpoint('10.1.0.2')]));
    expect(probe(bench, { from: 'pod', to: '10.200.0.7', port: 80 })).toMatchObject({ reaches: ['10.1.0.2:80'] });
    expect(probe(bench, { from: 'pod', to: '10.200.0.8', port: 80 })).toBe('drop');
    expect(bench.rules('filter', 'KUBE-SERVICES')).toHaveLength(2);
    bench.apply([{ type: 'delete', kind: 'ServiceCIDR', key: 'more' }]);
    expect(probe(bench, { from: 'pod', to: '10.200.0.8', port: 80 })).toMatchObject({ reaches: ['10.200.0.8:80'] });
    expect(bench.touched).toEqual(['filter KUBE-SERVICES']);
  });

  test('the drop is last, also behind a tree of refusals', () => {
    const bench = new Bench().set(range('kubernetes', '172.30.0.0/16'));
    for (let index = 0; index < 60; index += 1)
      bench.set(service(`ns/s${index}`, { clusterIps: [`172.30.1.${index}`] }));
    const chain = bench.dataplane.tables.ipv4.chains.filter.get(chainName('KUBE-SERVICES'));
    expect(chain?.rules.at(-1)?.action).toEqual({ kind: 'drop' });
    expect(probe(bench, { from: 'pod', to: '172.30.1.7', port: 80 })).toBe('reject');
    expect(probe(bench, { from: 'pod', to: '172.30.1.200', port: 80 })).toBe('drop');
  });
});
