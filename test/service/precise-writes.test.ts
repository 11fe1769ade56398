/** What a change leaves behind, and what is written for nothing: rules about chains that survived when they were changed one by one. */
import { describe, expect, test } from 'vitest';
import { keyOf } from '../../src/cluster/objects.ts';
import { FrontendClaims } from '../../src/service/claims.ts';
import { Bench, cidr, endpoint, goneTerminating, notReady, service, slice, tcp } from './fixtures.ts';
import { probe } from './flows.ts';

const key = 'ns/web';
const pod = '10.1.0.1';
const clusterIp = { from: 'pod', to: '172.30.0.41', port: 80 } as const;

function portChains(bench: Bench): readonly string[] {
  return bench.chainNames('nat').flatMap((name) => /^KUBE-(SVC|SVL|EXT|FW|SEP)-/.exec(name)?.[1] ?? []);
}

/** Chains that a rule leads to and that are not there: the kernel would refuse the whole write. */
function dangling(bench: Bench): readonly string[] {
  const { nat, filter } = bench.dataplane.tables.ipv4.chains;
  return [nat, filter].flatMap((chains) => {
    const targets = [...chains.values()].flatMap(({ rules }) => rules.map(({ action }) => action));
    return targets.flatMap((action) => ('chain' in action && !chains.has(action.chain) ? [action.chain] : []));
  });
}

describe('a slice', () => {
  const one = slice(key, [endpoint(pod)]);
  const other = slice(key, [endpoint('10.1.0.2')], { suffix: 'b' });

  test('that is deleted takes its endpoints with it, and no others', () => {
    const bench = new Bench().set(service(key), one, other);
    bench.apply([{ type: 'delete', kind: 'EndpointSlice', key: keyOf(one) }]);
    expect(probe(bench, clusterIp)).toMatchObject({ reaches: ['10.1.0.2:80'] });
    bench.apply([{ type: 'delete', kind: 'EndpointSlice', key: keyOf(other) }]);
    expect(probe(bench, clusterIp)).toBe('reject');
  });

  test('that goes over to another Service leaves the one that had it', () => {
    const bench = new Bench().set(service(key), service('ns/next', { clusterIps: ['172.30.0.42'] }), one);
    bench.set({ ...one, service: 'next' });
    expect(probe(bench, clusterIp)).toBe('reject');
    expect(probe(bench, { ...clusterIp, to: '172.30.0.42' })).toMatchObject({ reaches: [`${pod}:80`] });
  });
});

test('a Service that is gone is in no plan', () => {
  const bench = new Bench().set(service(key)).apply([{ type: 'delete', kind: 'Service', key }]);
  expect([...bench.stage.plan.services.keys()]).toEqual([]);
});

describe('a load balancer', () => {
  const balancer = { type: 'LoadBalancer', loadBalancerIps: ['203.0.113.1'] } as const;
  const ranges = { loadBalancerSourceRanges: [cidr('198.51.100.0/24')] } as const;
  const client = { from: 'outside', to: '203.0.113.1', port: 80 } as const;
  const served = slice(key, [endpoint(pod)]);

  test('whose source ranges come later and go again has one rule for its address at any time', () => {
    const bench = new Bench({}, ['ipv4']).set(service(key, balancer), served);
    const atAddress = () => bench.rules('nat', 'KUBE-SERVICES').filter((rule) => rule.includes(client.to));
    const open = atAddress();
    expect(open).toHaveLength(1);
    bench.set(service(key, { ...balancer, ...ranges }));
    expect(atAddress()).toEqual([expect.stringMatching(/-j KUBE-FW-\w{16}$/)]);
    expect(probe(bench, client)).toBe('drop');
    expect(probe(bench, { ...client, source: '198.51.100.7' })).toMatchObject({ reaches: [`${pod}:80`] });
    bench.set(service(key, balancer));
    expect(atAddress()).toEqual(open);
  });

  test('without an endpoint refuses, and no rule leads to a chain that is not there', () => {
    for (const shape of [balancer, { ...balancer, ...ranges }]) {
      const bench = new Bench({}, ['ipv4']).set(service(key, { ...shape, externalIps: ['198.51.100.1'] }));
      expect(portChains(bench)).toEqual([]);
      expect(dangling(bench)).toEqual([]);
      expect(bench.rules('filter', 'KUBE-PROXY-FIREWALL')).toEqual([]);
      expect(probe(bench, client)).toBe('reject');
    }
  });

  test('that has no address yet has no chain for its source ranges', () => {
    const shape = { type: 'LoadBalancer', ports: [{ nodePort: 30_080 }], ...ranges } as const;
    expect(portChains(new Bench({}, ['ipv4']).set(service(key, shape), served))).toEqual(['EXT', 'SEP', 'SVC']);
  });

  test('that is served is refused nowhere', () => {
    const shape = { ...balancer, externalIps: ['198.51.100.1'], ports: [{ nodePort: 30_080 }] };
    const bench = new Bench({}, ['ipv4']).set(service(key, shape), served);
    const refusals = ['KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-PROXY-FIREWALL', 'KUBE-NODEPORTS'];
    expect(refusals.flatMap((chain) => bench.rules('filter', chain))).toEqual([]);
  });
});

test('an endpoint that nobody may use has no chain', () => {
  const idle = [endpoint('10.1.0.2', 'here', notReady), endpoint('10.1.0.3', 'there', goneTerminating)];
  const bench = new Bench({}, ['ipv4']).set(service(key), slice(key, [endpoint(pod), ...idle]));
  expect(portChains(bench)).toEqual(['SEP', 'SVC']);
});

describe('a frontend that is contested no more', () => {
  const claimed = { from: 'pod', to: '172.30.0.41', port: 80 } as const;
  const backed = (name: string, address: string) => [service(`ns/${name}`), slice(`ns/${name}`, [endpoint(address)])];
  const gone = (name: string) => ({ type: 'delete', kind: 'Service', key: `ns/${name}` }) as const;

  test('is free for one that comes later, by name or age', () => {
    const bench = new Bench().set(...backed('a', '10.1.0.1'));
    bench.apply([gone('a')]).set(...backed('b', '10.1.0.2'));
    expect(probe(bench, claimed)).toMatchObject({ reaches: ['10.1.0.2:80'] });
    expect(bench.diagnostics).toEqual([]);
  });

  test('is never had by one that waited and is gone itself', () => {
    const bench = new Bench().set(...backed('a', '10.1.0.1'), ...backed('b', '10.1.0.2'));
    bench.apply([gone('b')]).apply([gone('a')]);
    bench.set(...backed('c', '10.1.0.3'));
    expect(probe(bench, claimed)).toMatchObject({ reaches: ['10.1.0.3:80'] });
    expect(bench.diagnostics).toEqual([]);
  });

  test('one claimant more, that has to wait, is nobody else’s business', () => {
    const bench = new Bench().set(service('ns/a'), service('ns/b'), service('ns/c'));
    const claims = new FrontendClaims();
    const affected = ['ns/a', 'ns/b', 'ns/c'].map((name) => claims.replace(undefined, bench.planned(name)));
    expect(affected.map((keys) => keys.size)).toEqual([0, 0, 0]);
    expect([...claims.replace(bench.planned('ns/b'), undefined)]).toEqual([]);
    expect([...claims.replace(bench.planned('ns/a'), undefined)]).toEqual(['ns/c']);
  });
});

describe('a tree of dispatch chains', () => {
  const addresses = Array.from({ length: 40 }, (_, index) => `${(index % 14) * 16 + 10}.96.0.${index}`);
  const service40 = (index: number, ports = [{ port: 80 }]) =>
    service(`ns/svc-${index}`, { clusterIps: [addresses[index] ?? ''], ports });
  const slice40 = (index: number) => slice(`ns/svc-${index}`, [endpoint(`10.200.0.${index}`)], { ports: [tcp(80)] });
  const full = () =>
    new Bench({}, ['ipv4']).set(
      ...addresses.map((_, index) => service40(index)),
      ...addresses.map((_, index) => slice40(index)),
    );

  test('over addresses that begin with nothing in common has no rule for all of them', () => {
    const bench = full();
    const digits = bench
      .rules('nat', 'KUBE-SERVICES')
      .flatMap((rule) => /-j KUBE-SERVICES-(.*)$/.exec(rule)?.[1] ?? []);
    expect(digits).toEqual('0123456789abcd'.split('').map((digit) => expect.stringMatching(new RegExp(`^${digit}`))));
    expect(dangling(bench)).toEqual([]);
    for (const [index, to] of addresses.entries()) {
      expect(probe(bench, { from: 'outside', to, port: 80 })).toMatchObject({ reaches: [`10.200.0.${index}:80`] });
    }
  });

  test('has no chain that no rule leads to', () => {
    const bench = full();
    const { nat } = bench.dataplane.tables.ipv4.chains;
    const targets = new Set(
      [...nat.values()].flatMap(({ rules }) =>
        rules.flatMap(({ action }) => ('chain' in action ? [action.chain as string] : [])),
      ),
    );
    const parts = bench.chainNames('nat').filter((name) => name.startsWith('KUBE-SERVICES-'));
    expect(parts.filter((name) => !targets.has(name))).toEqual([]);
  });

  test('writes the part anew where a Service has changed, and no other', () => {
    const bench = full();
    bench.set(service40(7, [{ port: 81 }]));
    expect(bench.touched.filter((name) => name.includes('KUBE-SERVICES'))).toHaveLength(1);
    expect(probe(bench, { from: 'outside', to: addresses[7] ?? '', port: 81 })).toMatchObject({
      reaches: ['10.200.0.7:80'],
    });
  });
});
