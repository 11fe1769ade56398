/** The node's own addresses and pod networks may come later than the agent: they reach the compiler then. */
import { expect, test } from 'vitest';
import { compileOptions } from '../../src/agent/compile-options.ts';
import { DesiredState } from '../../src/agent/desired-state.ts';
import type { ClusterObject } from '../../src/cluster/objects.ts';
import type { ConfigSources } from '../../src/config/load.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { NodeFacts } from '../../src/dataplane/endpoint-binding.ts';
import { chainName } from '../../src/dataplane/names.ts';
import { renderChain } from '../../src/dataplane/render.ts';
import { cidr, ip, namespace } from '../policy/objects.ts';
import { endpoint, service, slice } from '../service/fixtures.ts';
import { nodeObject } from '../compile/node.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

const web = [
  service('a/web', { type: 'NodePort', ports: [{ nodePort: 30_080 }] }),
  slice('a/web', [endpoint('10.1.0.1')]),
];

/** A node whose addresses the test changes. */
class Node {
  readonly desired: DesiredState;
  addresses: readonly string[] = ['192.0.2.1'];

  constructor(flags: ConfigSources['flags'], ...objects: readonly ClusterObject[]) {
    const config = loadConfig({ flags: { serviceProxy: true, ...flags }, environment: {} });
    this.desired = new DesiredState({
      nodeName: 'node-a',
      node: { read: () => Promise.resolve(this.#facts()), changes: () => never() },
      clock: new ManualClock(),
      compileOptions: (state, facts) => compileOptions(config, 'node-a', state, facts),
    });
    this.set(namespace('a'), ...objects, ...web);
  }

  set(...objects: readonly ClusterObject[]): void {
    this.desired.take({ changes: objects.map((object) => ({ type: 'set', object })), synced: true });
  }

  /** Names of the chains that the next update writes. */
  async next(): Promise<readonly string[]> {
    const { delta } = await this.desired.next();
    return delta.chains.map(({ family, table, name }) => `${family} ${table} ${name}`);
  }

  rules(name: string): string {
    const chain = this.desired.compiler?.dataplane.tables.ipv4.chains.nat.get(chainName(name));
    return chain === undefined ? '' : renderChain(chain).join('\n');
  }

  #facts(): NodeFacts {
    return { bindings: new Map(), nodeAddresses: this.addresses.map(ip), conntrackLiberal: false };
  }
}

async function* never(): AsyncGenerator {
  // No event.
}

test('an address that the node gets later answers on nodePorts, and only the dispatch is written', async () => {
  const node = new Node({ nodePortAddresses: '192.0.2.0/24,198.51.100.0/24' }, nodeObject);
  await node.next();
  expect(node.rules('KUBE-SERVICES')).not.toContain('198.51.100.7');
  const before = node.desired.compilerInput?.options;
  node.addresses = ['192.0.2.1', '198.51.100.7'];
  node.desired.nodeChanged();
  expect(await node.next()).toEqual(['ipv4 nat KUBE-SERVICES']);
  expect(node.rules('KUBE-SERVICES')).toContain('-d 198.51.100.7 -j KUBE-NODEPORTS');
  expect(node.desired.compilerInput?.options.services?.nodeAddresses).toEqual(['192.0.2.1', '198.51.100.7']);
  expect(before?.services?.nodeAddresses).toEqual(['192.0.2.1']);
  node.addresses = ['192.0.2.1'];
  node.desired.nodeChanged();
  await node.next();
  expect(node.rules('KUBE-SERVICES')).not.toContain('198.51.100.7');
});

test('29: nodePortAddresses primary: the addresses of the Node alone answer, also when it gets others', async () => {
  const node = new Node({ nodePortAddresses: 'primary' }, { ...nodeObject, addresses: [ip('192.0.2.1')] });
  node.addresses = ['10.9.0.1', '192.0.2.1', '198.51.100.7'];
  const answering = () =>
    [...node.rules('KUBE-SERVICES').matchAll(/(?: -d (\S+))? -j KUBE-NODEPORTS/g)].map(([, at]) => at);
  await node.next();
  expect(answering()).toEqual(['192.0.2.1']);
  node.set({ ...nodeObject, addresses: [ip('198.51.100.7')] });
  await node.next();
  expect(answering()).toEqual(['198.51.100.7']);
  // As for kube-proxy: a family of which the Node has no address has nothing chosen.
  expect(node.desired.compilerInput?.options.services?.nodePortAddresses).toEqual([cidr('198.51.100.7/32')]);
});

test.each([
  [undefined, 1],
  ['true', 1],
  ['false', 0],
])('52: externalIps %s: what may be switched off for the whole cluster is', async (externalIps, expected) => {
  const node = new Node(externalIps === undefined ? {} : { externalIps }, nodeObject);
  node.set(service('a/web', { externalIps: ['198.51.100.9'] }));
  await node.next();
  expect(node.rules('KUBE-SERVICES').match(/198\.51\.100\.9/g) ?? []).toHaveLength(expected);
});

test('beside primary other ranges may be chosen; as long as the Node is not known its first address counts', async () => {
  const node = new Node({ nodePortAddresses: 'primary,127.0.0.0/8' });
  node.addresses = ['192.0.2.1', '198.51.100.7', '2001:db8::7'];
  await node.next();
  expect(node.desired.compilerInput?.options.services?.nodePortAddresses).toEqual(
    ['192.0.2.1/32', '2001:db8::7/128', '127.0.0.0/8'].map(cidr),
  );
});

test('the address that the cluster knows the node by is its primary one, whatever the order of its interfaces', async () => {
  const node = new Node({}, { ...nodeObject, addresses: [ip('192.0.2.9')] });
  node.addresses = ['10.9.0.1', '192.0.2.9'];
  await node.next();
  expect(node.desired.compilerInput?.options.services?.nodeAddresses).toEqual(['192.0.2.9', '10.9.0.1']);
});

test('a pod network that the Node gets later tells local traffic from then on', async () => {
  const node = new Node({ localTrafficDetector: 'nodeCidr' }, { ...nodeObject, podCidrs: [] });
  await node.next();
  const chain = [...(node.desired.compiler?.dataplane.tables.ipv4.chains.nat.keys() ?? [])].find((name) =>
    name.startsWith('KUBE-SVC-'),
  );
  expect(node.rules(chain ?? '')).not.toContain('KUBE-MARK-MASQ');
  node.set({ ...nodeObject, podCidrs: [cidr('10.9.0.0/24')] });
  await node.next();
  expect(node.rules(chain ?? '')).toContain('! -s 10.9.0.0/24 -j KUBE-MARK-MASQ');
});

test('what says the same stays the same: nothing is decided again', async () => {
  const node = new Node({ nodePortAddresses: '192.0.2.0/24' }, nodeObject);
  await node.next();
  const input = node.desired.compilerInput?.options;
  node.desired.nodeChanged();
  node.set(nodeObject);
  expect(await node.next()).toEqual([]);
  expect(node.desired.compilerInput?.options).toBe(input);
});
