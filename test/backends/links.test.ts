import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { NetworkView } from '../../src/backends/links/bindings.ts';
import { findBindings } from '../../src/backends/links/bindings.ts';
import { parseForwarding, parseNetwork } from '../../src/backends/links/ip-json.ts';
import type { SysctlAccess } from '../../src/backends/links/sysctls.ts';
import { ensureSysctls, sysctlPath } from '../../src/backends/links/sysctls.ts';
import { NeighbourFilter, watchLinks } from '../../src/backends/links/watch-links.ts';
import { CommandError } from '../../src/backends/exec.ts';
import type { EndpointBinding } from '../../src/dataplane/endpoint-binding.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import { ip } from '../addresses.ts';

/** As `ip -j -d -batch -` (iproute2 6.1) answered on a node with a bridge, two ports and a routed pod: a line for each question. */
const answer = [
  [
    { ifindex: 1, ifname: 'lo', addr_info: [{ family: 'inet', local: '127.0.0.1', scope: 'host' }] },
    {
      ifindex: 2,
      ifname: 'eth0',
      linkinfo: { info_kind: 'veth' },
      addr_info: [
        { family: 'inet', local: '172.31.255.1', scope: 'global' },
        { family: 'inet6', local: 'fd00::1', scope: 'global' },
        { family: 'inet6', local: 'fe80::1', scope: 'link' },
      ],
    },
    { ifindex: 3, ifname: 'br0', linkinfo: { info_kind: 'bridge', info_data: {} } },
    { ifindex: 4, ifname: 'vh1', master: 'br0', linkinfo: { info_kind: 'veth', info_slave_data: { hairpin: true } } },
    { ifindex: 5, ifname: 'vh2', master: 'br0', linkinfo: { info_kind: 'veth', info_slave_data: { hairpin: false } } },
    { ifindex: 6, ifname: 'vr1', linkinfo: { info_kind: 'veth' } },
  ],
  [
    { type: 'unicast', dst: 'default', gateway: '172.31.255.1', dev: 'eth0', table: 'main' },
    { type: 'unicast', dst: '10.88.0.0/24', dev: 'br0', table: 'main', scope: 'link' },
    { type: 'unicast', dst: '10.88.1.0/24', gateway: '172.31.255.2', dev: 'eth0', table: 'main' },
    { type: 'unicast', dst: '10.89.0.7', dev: 'vr1', table: 'main', scope: 'link' },
    { type: 'unicast', dst: '10.89.0.8', dev: 'vr1', table: '100', scope: 'link' },
    { type: 'unicast', dst: '172.31.255.0/24', dev: 'eth0', table: 'main', scope: 'link' },
    { type: 'local', dst: '172.31.255.1', dev: 'eth0', table: 'local', scope: 'host' },
    { type: 'unicast', dst: 'fd00::/64', dev: 'br0', table: 'main' },
    { type: 'unicast', dst: 'fd01::7', dev: 'vr1', table: 'main' },
    { type: 'multicast', dst: 'ff00::/8', dev: 'br0', table: 'local' },
  ],
  [
    { dst: '10.88.0.5', dev: 'br0', lladdr: 'f2:8b:76:02:b6:b9', state: ['REACHABLE'] },
    { dst: 'fd00::5', dev: 'br0', lladdr: 'f2:8b:76:02:b6:b9', state: ['STALE'] },
    { dst: '10.88.0.6', dev: 'br0', state: ['INCOMPLETE'] },
    { dst: '10.88.0.7', dev: 'br0', lladdr: '8e:b0:b9:2d:2c:75', state: ['REACHABLE'] },
    { dst: '10.88.0.8', dev: 'br0', lladdr: '02:00:00:00:00:08', state: ['FAILED'] },
  ],
]
  .map((list) => `${JSON.stringify(list)}\n`)
  .join('');

const view: NetworkView = {
  ...parseNetwork(answer),
  forwarding: new Map([
    [
      'br0',
      parseForwarding(
        JSON.stringify([
          { mac: '33:33:00:00:00:01', ifname: 'br0', flags: ['self'], state: 'permanent' },
          { mac: 'f2:8b:76:02:b6:b9', ifname: 'vh1', flags: [], master: 'br0', state: '' },
          { mac: '8e:b0:b9:2d:2c:75', ifname: 'vh1', flags: [], master: 'br0', state: 'permanent' },
          { mac: '02:00:00:00:00:08', ifname: 'vh2', flags: [], master: 'br0', state: '' },
        ]),
      ),
    ],
  ]),
};

function bindingOf(address: string, known?: ReadonlyMap<IpAddress, EndpointBinding>): EndpointBinding | undefined {
  return findBindings([ip(address)], view, known).get(ip(address));
}

test.each<[string, EndpointBinding | undefined, string]>([
  ['10.89.0.7', { kind: 'routed', interface: 'vr1' }, 'a host route into a veth'],
  ['fd01::7', { kind: 'routed', interface: 'vr1' }, 'the same for IPv6'],
  ['10.88.0.5', { kind: 'bridged', bridge: 'br0', port: 'vh1' }, 'a bridge, MAC and port known'],
  ['fd00::5', { kind: 'bridged', bridge: 'br0', port: 'vh1' }, 'the same for IPv6'],
  ['10.88.0.6', { kind: 'bridged', bridge: 'br0' }, 'MAC not known yet'],
  ['10.88.0.7', { kind: 'bridged', bridge: 'br0' }, "the MAC is the port's own"],
  ['10.88.0.8', { kind: 'bridged', bridge: 'br0' }, 'the neighbour does not answer'],
  ['10.89.0.8', undefined, 'a host route of another table, which not every packet asks'],
  ['172.31.255.1', undefined, "the node's own"],
  ['10.88.1.5', undefined, 'on another node'],
  ['172.31.255.9', undefined, "in a network of the node's own"],
  ['192.0.2.1', undefined, 'only the default route'],
])('%s: %j (%s)', (address, expected) => {
  expect(bindingOf(address)).toEqual(expected);
});

test('a port once found stays while it is a port of the bridge', () => {
  const known = (port: string): ReadonlyMap<IpAddress, EndpointBinding> =>
    new Map([[ip('10.88.0.6'), { kind: 'bridged', bridge: 'br0', port }]]);
  expect(bindingOf('10.88.0.6', known('vh2'))).toMatchObject({ port: 'vh2' });
  expect(bindingOf('10.88.0.6', known('gone'))).not.toHaveProperty('port');
});

test('a pod cannot take the place of a neighbour whose address it claims', () => {
  const thief = 'f2:8b:76:02:b6:b9';
  const spoofed = {
    ...view,
    neighbours: [...view.neighbours, { address: ip('10.88.0.9'), device: 'br0', mac: thief }],
  };
  const both = [ip('10.88.0.5'), ip('10.88.0.9')];
  const first = findBindings([ip('10.88.0.5')], view);
  const after = findBindings(both, spoofed, first);
  expect(after.get(ip('10.88.0.5'))).toMatchObject({ port: 'vh1' });
  expect(after.get(ip('10.88.0.9'))).not.toHaveProperty('port');
  // Without a memory nobody knows who is the thief: neither is bound.
  for (const binding of findBindings(both, spoofed).values()) expect(binding).not.toHaveProperty('port');
});

test('addresses of a node: global ones of both families', () => {
  expect(parseNetwork(answer).addresses).toEqual(['172.31.255.1', 'fd00::1']);
});

test('a question without an answer is a line less', () => {
  const [links = '', ...rest] = answer.split('\n');
  expect(parseNetwork(rest.join('\n'))).toMatchObject({ links: [], addresses: [] });
  expect(parseNetwork(`${links}\n[]\n`)).toMatchObject({ routes: [], neighbours: [] });
  expect(parseNetwork('')).toEqual({ links: [], addresses: [], routes: [], neighbours: [] });
});

test('only news of neighbours counts: a MAC that is new or changed', () => {
  const filter = new NeighbourFilter();
  const lines = [
    '[NEIGH]10.88.0.5 dev br0 INCOMPLETE ',
    '[NEIGH]10.88.0.5 dev br0 lladdr 06:06:fd:9d:48:cb REACHABLE ',
    '[NEIGH]10.88.0.5 dev br0 lladdr 06:06:fd:9d:48:cb STALE ',
    '[NEIGH]10.88.0.6 dev br0 lladdr 06:06:fd:9d:48:cc REACHABLE ',
    '[NEIGH]dev vh1 lladdr 06:06:fd:9d:48:cb REACHABLE ',
    '[NEIGH]10.88.0.5 dev br0 lladdr 06:06:fd:9d:48:dd REACHABLE ',
    '[NEIGH]Deleted 10.88.0.5 dev br0 lladdr 06:06:fd:9d:48:dd STALE ',
    '[NEIGH]10.88.0.5 dev br0 lladdr 06:06:fd:9d:48:dd REACHABLE ',
    '[ROUTE]10.89.0.7 dev vr1 scope link ',
  ];
  expect(lines.map((line) => filter.isNews(line))).toEqual([false, true, false, true, true, true, false, true, true]);
});

test('neighbours that are not behind a bridge of pods are no news, whatever happens to them', () => {
  const filter = new NeighbourFilter((device) => device === 'br0');
  const lines = [
    '[NEIGH]10.88.0.5 dev cali123 lladdr 06:06:fd:9d:48:cb REACHABLE ',
    '[NEIGH]Deleted 10.88.0.5 dev cali123 lladdr 06:06:fd:9d:48:cb STALE ',
    '[NEIGH]172.31.255.1 dev eth0 lladdr 06:06:fd:9d:48:cd REACHABLE ',
    '[NEIGH]10.88.0.6 dev br0 lladdr 06:06:fd:9d:48:cc REACHABLE ',
    '[NEIGH]dev vh1 lladdr 06:06:fd:9d:48:cb REACHABLE ',
    '[LINK]5: cali123: <BROADCAST> ',
  ];
  expect(lines.map((line) => filter.isNews(line))).toEqual([false, false, false, true, true, true]);
});

test('a monitor that ends is started again, and everything counts as changed', async () => {
  const controller = new AbortController();
  let starts = 0;
  const lines = async function* (): AsyncGenerator<string> {
    starts += 1;
    yield '[ROUTE]x';
    throw new CommandError({ argv: ['ip'], exitCode: 1 });
  };
  let rounds = 0;
  for await (const _ of watchLinks(controller.signal, { lines, restartMs: 1, collectMs: 0 })) {
    rounds += 1;
    if (rounds === 4) controller.abort();
  }
  expect(rounds).toBe(4);
  expect(starts).toBeGreaterThan(1);
});

function fakeSysctls(values: Record<string, string>, readOnly = false): SysctlAccess {
  return {
    read: (name) => Promise.resolve(values[name]),
    write: (name, value) => {
      if (!readOnly) values[name] = value;
      return Promise.resolve();
    },
  };
}

test('settings: what is wrong is set and told with its old value, the rest is left alone', async () => {
  const values = {
    'net.ipv4.ip_forward': '0',
    'net.ipv6.conf.all.forwarding': '1',
    'net.bridge.bridge-nf-call-iptables': '1',
    'net.bridge.bridge-nf-call-ip6tables': '1',
    'net.bridge.bridge-nf-filter-vlan-tagged': '0',
  };
  const report = await ensureSysctls({ families: ['ipv4', 'ipv6'], bridge: true }, fakeSysctls(values));
  expect(report).toEqual({
    changes: [
      { name: 'net.ipv4.ip_forward', before: '0', after: '1' },
      { name: 'net.bridge.bridge-nf-filter-vlan-tagged', before: '0', after: '1' },
    ],
    problems: [],
  });
  expect(new Set(Object.values(values))).toEqual(new Set(['1']));
});

test('settings that are not there or cannot be set are named', async () => {
  const readOnly = fakeSysctls({ 'net.ipv4.ip_forward': '0' }, true);
  const { changes, problems } = await ensureSysctls({ families: ['ipv4'], bridge: true }, readOnly);
  expect(changes).toEqual([]);
  expect(problems).toHaveLength(4);
  expect(problems[0]).toContain('net.ipv4.ip_forward cannot be set');
  expect(problems[1]).toMatch(/bridge-nf-call-iptables is not there: .*br_netfilter/);
});

test('a setting is a file', () => {
  expect(sysctlPath('net.bridge.bridge-nf-call-iptables')).toBe('/proc/sys/net/bridge/bridge-nf-call-iptables');
});

test('in a container it is a file of the directory that the chart mounts', () => {
  const mounted = tmpdir();
  expect(sysctlPath('net.ipv4.ip_forward', mounted)).toBe(join(mounted, 'ipv4/ip_forward'));
  expect(sysctlPath('kernel.modprobe', mounted)).toBe('/proc/sys/kernel/modprobe');
});
