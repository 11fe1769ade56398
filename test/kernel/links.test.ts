/** Finding pods in a real network namespace: routed and bridged, both families. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError, streamLines } from '../../src/backends/exec.ts';
import { NodeLinks } from '../../src/backends/links/node-links.ts';
import type { SysctlAccess } from '../../src/backends/links/sysctls.ts';
import { ensureSysctls, sysctlPath } from '../../src/backends/links/sysctls.ts';
import { watchLinks } from '../../src/backends/links/watch-links.ts';
import type { Netns } from './netns.ts';
import { connectNetns, createNetns, describeKernel } from './netns.ts';
import { ip } from '../addresses.ts';

/** The settings of another network namespace. */
function sysctlsIn(netns: Netns): SysctlAccess {
  return {
    read: async (name) => {
      try {
        return (await netns.exec(['cat', sysctlPath(name)])).trim();
      } catch (error) {
        if (error instanceof CommandError) return undefined;
        throw error;
      }
    },
    write: async (name, value) => {
      await netns.exec(['tee', sysctlPath(name)], value);
    },
  };
}

describeKernel('the way to pods', () => {
  let node: Netns;
  let pods: readonly [Netns, Netns];
  const programs: string[] = [];

  beforeEach(async () => {
    node = await createNetns('n');
    pods = [await createNetns('p'), await createNetns('q')];
  });
  afterEach(async () => {
    for (const netns of [node, ...pods]) await netns.destroy();
  });

  /** Each reading is a program for all pods, and one for each bridge. */
  function counted(): Run {
    programs.length = 0;
    return (argv, options) => {
      programs.push(argv[0]);
      return node.run(argv, options);
    };
  }

  async function addBridgedPod(pod: Netns, port: string, addresses: readonly string[]): Promise<void> {
    await connectNetns({ netns: node, device: port }, { netns: pod, device: 'eth0', addresses });
    await node.exec(`ip link set ${port} master br0`);
  }

  test('routed pods, as their host route says', async () => {
    await connectNetns(
      { netns: node, device: 'veth1', addresses: ['10.89.0.1/32'] },
      { netns: pods[0], device: 'eth0', addresses: ['10.89.0.7/32', 'fd01::7/128'] },
    );
    const links = new NodeLinks({ run: counted(), sysctls: sysctlsIn(node) });
    expect(await links.readBindings([ip('10.89.0.7')])).toEqual(new Map());
    await node.exec('ip route add 10.89.0.7/32 dev veth1');
    // Not every packet asks this table.
    await node.exec('ip route add 10.89.0.8/32 dev veth1 table 100');
    await node.exec('ip -6 route add fd01::7/128 dev veth1');
    const facts = await links.read([ip('10.89.0.7'), ip('fd01::7'), ip('10.89.0.8')]);
    expect([...facts.bindings]).toEqual([
      ['10.89.0.7', { kind: 'routed', interface: 'veth1' }],
      ['fd01::7', { kind: 'routed', interface: 'veth1' }],
    ]);
    expect(facts.nodeAddresses).toEqual(['10.89.0.1']);
    expect(programs).toEqual(['ip', 'ip']);
    expect(facts.conntrackLiberal).toBe(false);
  });

  test('bridged pods, although nobody has spoken to them yet; the port is kept when they fall silent', async () => {
    await node.exec('ip link add br0 type bridge');
    await node.exec('ip link set br0 up');
    await node.exec('ip address add 10.88.0.1/24 dev br0');
    await node.exec('ip address add fd00::1/64 dev br0 nodad');
    await addBridgedPod(pods[0], 'vh1', ['10.88.0.5/24', 'fd00::5/64']);
    await addBridgedPod(pods[1], 'vh2', ['10.88.0.6/24', 'fd00::6/64']);
    const links = new NodeLinks({ run: counted(), sysctls: sysctlsIn(node), resolveTries: 100 });
    const addresses = ['10.88.0.5', 'fd00::5', '10.88.0.6', 'fd00::6'].map(ip);
    const expected = [
      ['10.88.0.5', { kind: 'bridged', bridge: 'br0', port: 'vh1' }],
      ['fd00::5', { kind: 'bridged', bridge: 'br0', port: 'vh1' }],
      ['10.88.0.6', { kind: 'bridged', bridge: 'br0', port: 'vh2' }],
      ['fd00::6', { kind: 'bridged', bridge: 'br0', port: 'vh2' }],
    ];
    expect([...(await links.readBindings(addresses))]).toEqual(expected);

    await node.exec('ip neigh flush all');
    await node.exec('ip link set br0 type bridge fdb_flush');
    programs.length = 0;
    expect([...(await links.readBindings(addresses))]).toEqual(expected);

    expect(programs).toEqual(['ip', 'bridge']);

    expect(await links.setHairpin(['vh1', 'vh2', 'br0', 'nosuch'])).toEqual(['vh1', 'vh2']);
    expect(await links.setHairpin(['vh1', 'vh2'])).toEqual([]);
    expect(await node.exec('bridge -d link show dev vh1')).toContain('hairpin on');
  });

  test('an address that does not answer is waited for once, and bound without a port', async () => {
    await node.exec('ip link add br0 type bridge');
    await node.exec('ip link set br0 up');
    await node.exec('ip address add 10.88.0.1/24 dev br0');
    const links = new NodeLinks({ run: node.run, sysctls: sysctlsIn(node), resolveTries: 3 });
    expect([...(await links.readBindings([ip('10.88.0.9')]))]).toEqual([
      ['10.88.0.9', { kind: 'bridged', bridge: 'br0' }],
    ]);
    await addBridgedPod(pods[0], 'vh1', ['10.88.0.9/24']);
    await expect
      .poll(async () => [...(await links.readBindings([ip('10.88.0.9')])).values()], { timeout: 5_000 })
      .toEqual([{ kind: 'bridged', bridge: 'br0', port: 'vh1' }]);
  });

  test('word comes of a new link, address and route, and of nothing when nothing changes', async () => {
    const controller = new AbortController();
    let rounds = 0;
    const lines = (argv: readonly string[], signal: AbortSignal): AsyncIterable<string> =>
      streamLines(['ip', 'netns', 'exec', node.name, ...argv], signal);
    const watching = (async () => {
      for await (const _ of watchLinks(controller.signal, { lines })) rounds += 1;
    })();
    await expect.poll(() => rounds).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(rounds).toBe(1);
    let before = rounds;
    await connectNetns(
      { netns: node, device: 'veth1', addresses: ['10.89.0.1/32'] },
      { netns: pods[0], device: 'eth0' },
    );
    await expect.poll(() => rounds).toBeGreaterThan(before);
    await new Promise((resolve) => setTimeout(resolve, 500));
    before = rounds;
    await node.exec('ip route add 10.89.0.7/32 dev veth1');
    await expect.poll(() => rounds).toBeGreaterThan(before);
    controller.abort();
    await watching;
  });

  test('settings of the namespace are set, told with their old values, and right the second time', async () => {
    const access = sysctlsIn(node);
    await access.write('net.bridge.bridge-nf-filter-vlan-tagged', '0');
    await access.write('net.ipv4.ip_forward', '0');
    const first = await ensureSysctls({ families: ['ipv4', 'ipv6'], bridge: true }, access);
    expect(first.problems).toEqual([]);
    expect(first.changes).toContainEqual({ name: 'net.ipv4.ip_forward', before: '0', after: '1' });
    expect(first.changes).toContainEqual({ name: 'net.bridge.bridge-nf-filter-vlan-tagged', before: '0', after: '1' });
    expect(await ensureSysctls({ families: ['ipv4', 'ipv6'], bridge: true }, access)).toEqual({
      changes: [],
      problems: [],
    });
  });
});
