/** The KUBE chains on a real kernel: both variants of iptables take the text, say it back, and packets go where the plan says. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { normaliseKubeRule } from '../../src/dataplane/kube-rule-text.ts';
import { renderChain, renderRules } from '../../src/dataplane/render.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { Bench, cidr, endpoint, service, slice, tcp } from '../service/fixtures.ts';
import { createNetns, describeKernel, type Netns } from './netns.ts';

const tables: readonly TableName[] = ['nat', 'filter'];
const builtins = /^(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)$/;

/** Every kind of rule, and enough Services for trees in every dispatch chain. */
function crowd(): readonly ClusterObject[] {
  const plain = Array.from({ length: 60 }, (_, index) => {
    const key = `ns/plain-${index}`;
    const shape = {
      type: 'LoadBalancer',
      clusterIps: [`10.96.0.${index}`, `fd00:96::${index + 1}`],
      externalIps: ['198.51.100.1', '2001:db8:1::1'],
      loadBalancerIps: [`203.0.113.${index}`, `2001:db8::${index + 1}`],
      loadBalancerSourceRanges: [cidr('192.168.0.0/16'), cidr('fd00:192::/32')],
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 32_000 + index,
      ports: [{ port: 1000 + index, nodePort: 30_000 + index }],
    } as const;
    const backed = [
      slice(key, [endpoint(`10.200.0.${index + 1}`)]),
      slice(key, [endpoint(`fd00:10::${index + 1}`, 'here')], { suffix: 'v6' }),
    ];
    // Every second one has nothing behind it: refusals, in trees too.
    return [service(key, shape), ...(index % 2 === 0 ? backed : [])];
  });
  const large = Array.from({ length: 40 }, (_, index) => endpoint(`10.201.0.${index + 1}`));
  return [
    ...plain.flat(),
    service('ns/large', { clusterIps: ['10.96.1.1'], ports: [{ protocol: 'UDP' }] }),
    slice('ns/large', large, { ports: [{ name: '', protocol: 'UDP', port: 53 }] }),
    service('ns/sticky', { clusterIps: ['10.96.1.2'], sessionAffinitySeconds: 60, ports: [{ name: 'odd-name' }] }),
    slice('ns/sticky', large.slice(0, 9), { ports: [tcp(8080, 'odd-name')] }),
  ];
}

function restoreText(bench: Bench, family: IpFamily, table: TableName): string {
  const chains = [...bench.dataplane.tables[family].chains[table].values()];
  const hooks = bench.stage.hooks(family).filter((hook) => hook.table === table);
  const lines = [
    `*${table}`,
    ...chains.map(({ name }) => `:${name} - [0:0]`),
    ...chains.flatMap(renderChain),
    ...hooks.flatMap((hook) => renderRules(hook.chain, 'kube', [hook.rule])),
    'COMMIT',
  ];
  return `${lines.join('\n')}\n`;
}

/** Chain to its rules in one form. */
function rulesByChain(text: string): ReadonlyMap<string, readonly string[]> {
  const rules = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [, chain = '', rule = ''] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
    if (chain === '' || builtins.test(chain)) continue;
    rules.set(chain, [...(rules.get(chain) ?? []), normaliseKubeRule(rule)]);
  }
  return rules;
}

const programs = {
  'nft ipv4': ['iptables-nft', 'ipv4'],
  'legacy ipv4': ['iptables-legacy', 'ipv4'],
  'nft ipv6': ['ip6tables-nft', 'ipv6'],
  'legacy ipv6': ['ip6tables-legacy', 'ipv6'],
} as const;

describeKernel('KUBE chains', () => {
  const bench = new Bench().set(...crowd());

  test.each(Object.entries(programs))('%s takes the text and says it back', async (_, [program, family]) => {
    const netns = await createNetns('svc');
    try {
      for (const table of tables) {
        const text = restoreText(bench, family, table);
        await netns.exec([`${program}-restore`, '--noflush'], text);
        const saved = await netns.exec([`${program}-save`, '-t', table]);
        expect(rulesByChain(saved)).toEqual(rulesByChain(text));
      }
    } finally {
      await netns.destroy();
    }
  });

  describeKernel('packets', () => {
    let netns: Netns;

    beforeAll(async () => {
      netns = await createNetns('svp');
      await netns.exec('ip address add 192.168.0.2/24 dev lo');
      await netns.exec('ip route add default dev lo');
      for (const table of tables)
        await netns.exec(['iptables-nft-restore', '--noflush'], restoreText(bench, 'ipv4', table));
    });
    afterAll(() => netns.destroy());

    /** Packets counted by the DNAT rules, by where they lead. */
    async function counted(): Promise<ReadonlyMap<string, number>> {
      const saved = await netns.exec('iptables-nft-save -c -t nat');
      const rules = saved.matchAll(/^\[(\d+):\d+\] -A KUBE-SEP-\S+ .*--to-destination (\S+)$/gm);
      return new Map([...rules].map(([, count, to = '']) => [to, Number(count)]));
    }

    test('each Service of a tree gets its own connections', async () => {
      const sends = [0, 14, 30, 58].map(
        (index) => `echo > /dev/udp/10.96.1.1/80; echo 2>/dev/null > /dev/tcp/10.96.0.${index}/${1000 + index} &`,
      );
      await netns.exec(['timeout', '3', 'bash', '-c', `${sends.join('\n')}\nsleep 0.5; kill $(jobs -p); exit 0`]);
      const counts = await counted();
      expect([1, 15, 31, 59].map((last) => counts.get(`10.200.0.${last}:80`))).toEqual([1, 1, 1, 1]);
      expect(counts.get('10.200.0.3:80')).toBe(0);
    });

    test('40 endpoints share 8,000 connections evenly', async () => {
      await netns.exec(['iptables-nft', '-t', 'nat', '-Z']);
      await netns.exec(['bash', '-c', 'for i in $(seq 8000); do echo > /dev/udp/10.96.1.1/80; done']);
      const counts = [...(await counted())]
        .filter(([to]) => to.startsWith('10.201.0.') && to.endsWith(':53'))
        .map(([, count]) => count);
      expect(counts).toHaveLength(40);
      const total = counts.reduce((sum, count) => sum + count, 0);
      const expected = total / counts.length;
      const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // A source port that came round again before its entry was gone is no new connection.
      expect(total).toBeGreaterThan(6000);
      expect(chiSquare).toBeLessThan(85); // 39 degrees of freedom: exceeded once in 30,000 runs
    });
  });
});
