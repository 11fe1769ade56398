/** Single Services: kube-proxy's own text, rule by rule (kube-proxy.md 1.3 to 1.9). */
import { describe, expect, test } from 'vitest';
import { renderRules } from '../../src/dataplane/render.ts';
import type { BuiltinChain, TableName } from '../../src/dataplane/rule.ts';
import { serviceHooks } from '../../src/service/hooks.ts';
import { Bench, cidr, endpoint, ip, options, service, slice, tcp } from './fixtures.ts';

const one = '10.180.0.1';
const two = '10.180.0.2';
const hash = 'XPGD46QRK7WJZT7O'; // ns1/svc1:p80, tcp
const sepOne = 'KUBE-SEP-SXIVWICOYRO3J4NJ';

function singlePort(shape: Parameters<typeof service>[1] = {}) {
  return service('ns1/svc1', { ...shape, ports: [{ name: 'p80', ...shape.ports?.[0] }] });
}

function backed(...addresses: readonly string[]) {
  return slice(
    'ns1/svc1',
    addresses.map((address) => endpoint(address)),
    { ports: [tcp(80, 'p80')] },
  );
}

test('2, 11: a ClusterIP Service with one endpoint', () => {
  const bench = new Bench().set(singlePort(), backed(one));
  expect(bench.rules('nat', `KUBE-SVC-${hash}`)).toEqual([
    '-m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ',
    `-m comment --comment "ns1/svc1:p80 -> ${one}:80" -j ${sepOne}`,
  ]);
  expect(bench.rules('nat', sepOne)).toEqual([
    `-m comment --comment ns1/svc1:p80 -s ${one} -j KUBE-MARK-MASQ`,
    `-m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination ${one}:80`,
  ]);
  expect(bench.rules('nat', 'KUBE-SERVICES')).toEqual([
    `-m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-${hash}`,
    '-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
  ]);
});

test('IPv6 has the same names and its own addresses', () => {
  const dual = singlePort({ clusterIps: ['172.30.0.41', 'fd00:172:30::41'] });
  const bench = new Bench().set(dual, { ...backed('fd00:10:180::1'), name: 'v6' });
  const [rule, last] = bench.rules('nat', `KUBE-SVC-${hash}`, 'ipv6');
  expect(rule).toBe(
    '-m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d fd00:172:30::41 --dport 80 ! -s fd00:10::/32 -j KUBE-MARK-MASQ',
  );
  const sep = last?.split(' ').at(-1) ?? '';
  expect(bench.rules('nat', sep, 'ipv6')[1]).toMatch(/ -j DNAT --to-destination \[fd00:10:180::1\]:80$/);
  expect(bench.rules('nat', 'KUBE-SERVICES', 'ipv6').at(-1)).toMatch(/--dst-type LOCAL ! -d ::1 -j KUBE-NODEPORTS$/);
});

test('11: three endpoints: 1/3, 1/2, the rest, in the order of their text', () => {
  const bench = new Bench().set(singlePort(), backed('10.180.0.2', '10.180.0.10', '10.180.0.1'));
  const rules = bench.rules('nat', `KUBE-SVC-${hash}`).slice(1);
  expect(rules.map((rule) => rule.replace(/ -j KUBE-SEP-\w{16}$/, ''))).toEqual([
    '-m comment --comment "ns1/svc1:p80 -> 10.180.0.10:80" -m statistic --mode random --probability 0.3333333333',
    '-m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m statistic --mode random --probability 0.5000000000',
    '-m comment --comment "ns1/svc1:p80 -> 10.180.0.2:80"',
  ]);
});

test('83: session affinity: remembered clients first, every DNAT remembers', () => {
  const bench = new Bench().set(singlePort({ sessionAffinitySeconds: 10_800 }), backed(one, two));
  const rules = bench.rules('nat', `KUBE-SVC-${hash}`);
  expect(rules.slice(1, 2)).toEqual([
    `-m comment --comment "ns1/svc1:p80 -> ${one}:80" -m recent --name ${sepOne} --rcheck --seconds 10800 --reap -j ${sepOne}`,
  ]);
  expect(rules.map((rule) => /-m (recent|statistic)/.exec(rule)?.[1])).toEqual([
    undefined,
    'recent',
    'recent',
    'statistic',
    undefined,
  ]);
  expect(bench.rules('nat', sepOne)[1]).toBe(
    `-m comment --comment ns1/svc1:p80 -m recent --name ${sepOne} --set -m tcp -p tcp -j DNAT --to-destination ${one}:80`,
  );
});

const balanced = {
  type: 'LoadBalancer',
  loadBalancerIps: ['1.2.3.4'],
  externalIps: ['5.6.7.8'],
  ports: [{ nodePort: 3001 }],
} as const;

test('27, 41, 66: every frontend of a load balanced Service, policy Cluster', () => {
  const bench = new Bench().set(singlePort(balanced), backed(one));
  const frontend = '-m tcp -p tcp -d';
  expect(bench.rules('nat', 'KUBE-SERVICES').slice(0, -1)).toEqual([
    `-m comment --comment "ns1/svc1:p80 loadbalancer IP" ${frontend} 1.2.3.4 --dport 80 -j KUBE-EXT-${hash}`,
    `-m comment --comment "ns1/svc1:p80 external IP" ${frontend} 5.6.7.8 --dport 80 -j KUBE-EXT-${hash}`,
    `-m comment --comment "ns1/svc1:p80 cluster IP" ${frontend} 172.30.0.41 --dport 80 -j KUBE-SVC-${hash}`,
  ]);
  expect(bench.rules('nat', 'KUBE-NODEPORTS')).toEqual([
    `-m comment --comment ns1/svc1:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-${hash}`,
  ]);
  expect(bench.rules('nat', `KUBE-EXT-${hash}`)).toEqual([
    '-m comment --comment "masquerade traffic for ns1/svc1:p80 external destinations" -j KUBE-MARK-MASQ',
    `-j KUBE-SVC-${hash}`,
  ]);
});

test('55, 57, 58: policy Local: pods and the node short-circuited, the rest to local endpoints', () => {
  const slices = slice('ns1/svc1', [endpoint(one), endpoint(two, 'here')], { ports: [tcp(80, 'p80')] });
  const local = singlePort({ ...balanced, externalTrafficPolicy: 'Local', healthCheckNodePort: 30_999 });
  const bench = new Bench().set(local, slices);
  expect(bench.rules('nat', `KUBE-EXT-${hash}`)).toEqual([
    `-m comment --comment "pod traffic for ns1/svc1:p80 external destinations" -s 10.0.0.0/8 -j KUBE-SVC-${hash}`,
    '-m comment --comment "masquerade LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ',
    `-m comment --comment "route LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-${hash}`,
    `-j KUBE-SVL-${hash}`,
  ]);
  expect(bench.rules('nat', `KUBE-SVL-${hash}`)).toEqual([
    expect.stringMatching(/^-m comment --comment "ns1\/svc1:p80 -> 10.180.0.2:80" -j KUBE-SEP-\w{16}$/),
  ]);
  expect(bench.rules('filter', 'KUBE-NODEPORTS')).toEqual([
    '-m comment --comment "ns1/svc1:p80 health check node port" -m tcp -p tcp --dport 30999 -j ACCEPT',
  ]);
});

test('44, 45: source ranges: KUBE-FW, and KUBE-PROXY-FIREWALL for the rest', () => {
  const ranges = { loadBalancerSourceRanges: [cidr('203.0.113.0/25'), cidr('192.168.0.0/24')] };
  const bench = new Bench().set(singlePort({ ...balanced, ...ranges }), backed(one));
  expect(bench.rules('nat', `KUBE-FW-${hash}`)).toEqual([
    `-m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 203.0.113.0/25 -j KUBE-EXT-${hash}`,
    `-m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 192.168.0.0/24 -j KUBE-EXT-${hash}`,
    `-m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 1.2.3.4 -j KUBE-EXT-${hash}`,
    '-m comment --comment "other traffic to ns1/svc1:p80 will be dropped by KUBE-PROXY-FIREWALL"',
  ]);
  expect(bench.rules('nat', 'KUBE-SERVICES')[0]).toMatch(new RegExp(`loadbalancer IP.*-j KUBE-FW-${hash}$`));
  expect(bench.rules('filter', 'KUBE-PROXY-FIREWALL')).toEqual([
    `-m comment --comment "ns1/svc1:p80 traffic not accepted by KUBE-FW-${hash}" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j DROP`,
  ]);
});

test('3, 34, 49: no endpoints: REJECT at every frontend', () => {
  const bench = new Bench().set(singlePort(balanced));
  const comment = '-m comment --comment "ns1/svc1:p80 has no endpoints"';
  expect(bench.rules('filter', 'KUBE-SERVICES')).toEqual([
    `${comment} -m tcp -p tcp -d 172.30.0.41 --dport 80 -j REJECT`,
  ]);
  expect(bench.rules('filter', 'KUBE-EXTERNAL-SERVICES')).toEqual([
    `${comment} -m tcp -p tcp -d 1.2.3.4 --dport 80 -j REJECT`,
    `${comment} -m tcp -p tcp -d 5.6.7.8 --dport 80 -j REJECT`,
    `${comment} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3001 -j REJECT`,
  ]);
  expect(bench.chainNames('nat').filter((name) => name.includes(hash))).toEqual([]);
});

test('56, 62: only remote endpoints and policy Local: DROP', () => {
  const policies = { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' } as const;
  const bench = new Bench().set(singlePort({ ...balanced, ...policies }), backed(one));
  const comment = '-m comment --comment "ns1/svc1:p80 has no local endpoints"';
  expect(bench.rules('filter', 'KUBE-SERVICES')).toEqual([
    `${comment} -m tcp -p tcp -d 172.30.0.41 --dport 80 -j DROP`,
  ]);
  expect(bench.rules('filter', 'KUBE-EXTERNAL-SERVICES')).toContain(
    `${comment} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3001 -j DROP`,
  );
  expect(bench.rules('nat', `KUBE-EXT-${hash}`)).toHaveLength(3);
});

test('the fixed chains', () => {
  const bench = new Bench().set();
  expect(bench.rules('nat', 'KUBE-MARK-MASQ')).toEqual(['-j MARK --or-mark 0x00004000']);
  expect(bench.rules('nat', 'KUBE-POSTROUTING')).toEqual([
    '-m mark ! --mark 0x00004000/0x00004000 -j RETURN',
    '-j MARK --xor-mark 0x00004000',
    '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  ]);
  expect(bench.rules('filter', 'KUBE-FORWARD')).toEqual([
    '-m conntrack --ctstate INVALID -j DROP',
    '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT',
    '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  ]);
});

test('33: KUBE-FIREWALL keeps neighbours from localhost; elsewhere the chain is kubelet’s', () => {
  expect(new Bench().set().rules('filter', 'KUBE-FIREWALL')).toEqual([
    '-m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
  ]);
  expect(new Bench().set().chainNames('filter', 'ipv6')).not.toContain('KUBE-FIREWALL');
  expect(new Bench({ localhostNodePorts: false }).set().chainNames('filter')).not.toContain('KUBE-FIREWALL');
  // node ports answer on chosen addresses, and localhost is none of them: nothing to guard
  const chosen = new Bench({ nodePortAddresses: [cidr('192.168.0.0/24')] }).set();
  expect(chosen.chainNames('filter')).not.toContain('KUBE-FIREWALL');
  expect(chosen.stage.hooks('ipv4').filter(({ rule }) => JSON.stringify(rule).includes('KUBE-FIREWALL'))).toEqual([]);
});

test('111: with nf_conntrack_tcp_be_liberal INVALID packets are not dropped', () => {
  expect(new Bench({ conntrackLiberal: true }).set().rules('filter', 'KUBE-FORWARD')).toHaveLength(2);
});

test('a node without Services: kube-proxy’s numbers of rules, 5 in nat and 4 in filter', () => {
  const bench = new Bench().set();
  const count = (table: TableName) =>
    bench.chainNames(table).reduce((sum, name) => sum + bench.rules(table, name).length, 0);
  expect([count('nat'), count('filter')]).toEqual([5, 4]);
});

test('57: the pods themselves tell local traffic from other traffic, whatever their addresses', () => {
  const bench = new Bench({ detector: { kind: 'localPods' } }).set(
    singlePort({ type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ nodePort: 30_080 }] }),
    backed(one),
  );
  expect(bench.rules('nat', `KUBE-SVC-${hash}`)[0]).toBe(
    '-m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -m set ! --match-set cali40programmed src -j KUBE-MARK-MASQ',
  );
  expect(bench.rules('nat', `KUBE-EXT-${hash}`)[0]).toBe(
    `-m comment --comment "pod traffic for ns1/svc1:p80 external destinations" -m set --match-set cali40programmed src -j KUBE-SVC-${hash}`,
  );
});

describe('hooks', () => {
  const rows: readonly (readonly [TableName, BuiltinChain, readonly string[]])[] = [
    ['filter', 'INPUT', ['KUBE-FIREWALL', 'KUBE-PROXY-FIREWALL', 'KUBE-NODEPORTS', 'KUBE-EXTERNAL-SERVICES']],
    ['filter', 'FORWARD', ['KUBE-PROXY-FIREWALL', 'KUBE-FORWARD', 'KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES']],
    ['filter', 'OUTPUT', ['KUBE-FIREWALL', 'KUBE-PROXY-FIREWALL', 'KUBE-SERVICES']],
    ['nat', 'PREROUTING', ['KUBE-SERVICES']],
    ['nat', 'OUTPUT', ['KUBE-SERVICES']],
    ['nat', 'POSTROUTING', ['KUBE-POSTROUTING']],
  ];
  test.each(rows)('%s %s in kube-proxy’s order', (table, chain, targets) => {
    const hooks = serviceHooks(options, 'ipv4').filter((hook) => hook.table === table && hook.chain === chain);
    expect(hooks.map(({ rule }) => rule.action)).toEqual(targets.map((name) => ({ kind: 'jump', chain: name })));
    expect(hooks.every(({ position }) => position === 'first')).toBe(true);
  });

  test('as text', () => {
    const rules = serviceHooks({ ...options, nodeAddresses: [ip('192.168.0.2')] }, 'ipv6').map(({ rule }) => rule);
    expect(renderRules('INPUT', 'kube', rules).slice(0, 2)).toEqual([
      '-A INPUT -m comment --comment "kubernetes load balancer firewall" -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL',
      '-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
    ]);
  });
});
