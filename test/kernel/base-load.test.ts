/** Every base chain in every shape is something that both variants of iptables load, in both families. */
import { expect, test } from 'vitest';
import { ipSetRestoreText, iptablesRestoreText } from '../../src/dataplane/restore-text.ts';
import { bridged, nodeObject, type NodePod, routed, testNode } from '../compile/node.ts';
import { block, cidr, labels, named, pod, pods, policy, range, rule } from '../policy/objects.ts';
import { createNetns, describeKernel } from './netns.ts';

const many: readonly NodePod[] = Array.from({ length: 60 }, (_, index) => ({
  pod: pod(`a/bridged-${index}`, {
    ips: [`10.9.0.${index + 40}`, `fd09::${index + 40}`],
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  }),
  binding: bridged(index % 3 === 0 ? undefined : `veth${index}`),
}));
const routedPods: readonly NodePod[] = ['cali1', 'cali12', 'calix', 'veth1'].map((name, index) => ({
  pod: pod(
    `a/${name}`,
    { ips: [`10.9.0.${index + 2}`, `fd09::${index + 2}`] },
    { allowedSources: [cidr('0.0.0.0/0')] },
  ),
  binding: routed(name === 'veth1' ? 'lxc.1_a-b' : name),
}));
const ports = Array.from({ length: 20 }, (_, index) => range(1000 + 10 * index, 1005 + 10 * index));
const everyRule = [
  rule([pods(labels({ x: 'y' }), labels({}))], [...ports, named('http'), named('dns', 'UDP'), range(7, 7, 'SCTP')]),
  rule([block('0.0.0.0/0', '10.0.0.0/8', '192.168.0.0/16'), block('fd00::/8', 'fd00:1::/32')], ports),
  rule(),
];
const objects = [policy('a/everything', { ingress: everyRule, egress: everyRule })];

describeKernel('the base chains load', () => {
  test.each([
    ['nft', {}],
    ['legacy', {}],
    ['nft', { interfacePrefixes: ['cali', 'lxc'], hostEndpointAction: 'drop', established: 'keep', podStart: 'open' }],
    [
      'legacy',
      { interfacePrefixes: ['cali', 'lxc'], hostEndpointAction: 'drop', established: 'keep', podStart: 'open' },
    ],
  ] as const)('%s %j', async (variant, options) => {
    const { dataplane, diagnostics } = testNode([...many, ...routedPods], objects, options);
    expect(diagnostics).toEqual([]);
    expect(nodeObject.podCidrs).toHaveLength(2);
    const netns = await createNetns('load');
    try {
      await netns.exec('ipset restore', ipSetRestoreText(dataplane));
      for (const [program, family] of [
        ['iptables', 'ipv4'],
        ['ip6tables', 'ipv6'],
      ] as const) {
        await netns.exec(`${program}-${variant}-restore --noflush`, iptablesRestoreText(dataplane, family));
        for (const table of ['raw', 'mangle', 'filter'] as const) {
          const saved = (await netns.exec(`${program}-${variant}-save -t ${table}`)).split('\n');
          const chains = [...dataplane.tables[family].chains[table].values()];
          const count = chains.reduce((sum, chain) => sum + chain.rules.length, 0);
          expect(saved.filter((line) => line.startsWith('-A cali-'))).toHaveLength(count);
          expect(saved.filter((line) => line.startsWith(':cali-'))).toHaveLength(chains.length);
        }
      }
    } finally {
      await netns.destroy();
    }
  });
});
