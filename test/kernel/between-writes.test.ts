/** Packets between any two writes, each chain a transaction of its own where it may be: what a change denies before and after never arrives. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApplyResult, Backend } from '../../src/backends/backend.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { ClusterObject, NetworkPolicy } from '../../src/cluster/objects.ts';
import type { ClusterChange } from '../../src/cluster/state.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { Compiler } from '../../src/compile/compiler.ts';
import type { KernelWrite } from '../../src/dataplane/kernel-write.ts';
import { factsOf, nodeObject, nodeOptions, routed } from '../compile/node.ts';
import { labels, namespace, pod, policy, rule } from '../policy/objects.ts';
import type { Netns } from './netns.ts';
import { connectNetns, createNetns, describeKernel } from './netns.ts';

/** The kernel, with pieces as small as they can be, and a look after each write. */
class OneByOne implements Backend {
  readonly pieces = { lines: 1, chains: 1 };
  onWrite: () => Promise<void> = () => Promise.resolve();
  readonly read: Backend['read'];
  readonly readSections: Backend['readSections'];
  readonly readHooks: Backend['readHooks'];
  readonly readSetCounts: Backend['readSetCounts'];
  readonly #kernel: KernelBackend;

  constructor(kernel: KernelBackend) {
    this.#kernel = kernel;
    this.read = (scope) => kernel.read(scope);
    this.readSections = (dataplane) => kernel.readSections(dataplane);
    this.readHooks = (place) => kernel.readHooks(place);
    this.readSetCounts = (known) => kernel.readSetCounts(known);
  }

  async apply(write: KernelWrite): Promise<ApplyResult> {
    const result = await this.#kernel.apply(write);
    await this.onWrite();
    return result;
  }
}

const [server, client] = ['10.9.0.10', '10.9.0.11'] as const;
const sendThree = `use Socket; for (1 .. 3) {
  socket(my $s, AF_INET, SOCK_DGRAM, 0) or die $!;
  send($s, 'x', 0, pack_sockaddr_in(80, inet_aton('${server}'))) or die $!;
}`;
const options = { ...nodeOptions, ipFamilies: ['ipv4'] } as const;
const pods = {
  server: pod('a/server', { ips: [server], labels: { is: 'server' } }),
  client: pod('a/client', { ips: [client], labels: { is: 'client' } }),
};
const facts = factsOf([
  { pod: pods.server, binding: routed('veths') },
  { pod: pods.client, binding: routed('vethc') },
]);
const set = (...objects: readonly ClusterObject[]): readonly ClusterChange[] =>
  objects.map((object) => ({ type: 'set', object }));
const of = (is: string, name: string, shape: Partial<NetworkPolicy> = {}): NetworkPolicy =>
  policy(`a/${name}`, { podSelector: labels({ is }), ...shape });

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`between two writes, iptables-${variant}`, () => {
    let node: Netns;
    let ends: readonly [Netns, Netns];

    beforeEach(async () => {
      node = await createNetns('n');
      ends = [await createNetns('s'), await createNetns('c')];
      await node.exec('sysctl -qw net.ipv4.ip_forward=1');
      for (const [index, [address, device]] of (
        [
          [server, 'veths'],
          [client, 'vethc'],
        ] as const
      ).entries()) {
        const end = ends[index];
        if (end === undefined) throw new Error(device);
        await connectNetns(
          { netns: node, device, addresses: ['10.9.0.1/32'] },
          { netns: end, device: 'eth0', addresses: [`${address}/32`] },
        );
        await node.exec(`ip route add ${address}/32 dev ${device}`);
        await end.exec('ip route add 10.9.0.1/32 dev eth0');
        await end.exec('ip route add default via 10.9.0.1');
      }
    });
    afterEach(async () => {
      for (const netns of [node, ...ends]) await netns.destroy();
    });

    /** Datagrams that have come to the server: nobody listens there. */
    async function arrived(): Promise<number> {
      const [names = '', values = ''] = (await ends[0].exec('cat /proc/net/snmp'))
        .split('\n')
        .filter((line) => line.startsWith('Udp: '));
      return Number(values.split(' ')[names.split(' ').indexOf('NoPorts')]);
    }

    async function send(): Promise<number> {
      const before = await arrived();
      await ends[1].exec(['perl', '-e', sendThree]);
      return (await arrived()) - before;
    }

    test.each<readonly [string, readonly ClusterObject[], readonly ClusterObject[]]>([
      [
        'a policy allows more, of other pods than before',
        [of('server', 'closed'), of('server', 'moving')],
        [of('client', 'moving', { ingress: [rule()] })],
      ],
      [
        'the receiver takes more as the sender may do less',
        [of('server', 'receiver'), of('client', 'sender', { egress: [rule()] })],
        [of('server', 'receiver', { ingress: [rule()] }), of('client', 'sender', { egress: [] })],
      ],
    ])(
      '%s',
      async (_, first, second) => {
        const store = new ClusterStore();
        const compiler = new Compiler(store, options);
        const kernel = new OneByOne(new KernelBackend({ run: node.run, variant, ownership: { services: false } }));
        const writer = new KernelWriter({ backend: kernel });
        const follow = async (changes: readonly ClusterChange[]): Promise<void> => {
          const { delta } = compiler.apply(store.apply(changes), facts);
          await writer.update(delta, compiler.dataplane);
        };
        await follow(set(namespace('a'), nodeObject, pods.server, pods.client));
        // Whoever asks who has an address first waits for the answer.
        await expect.poll(send, { timeout: 30_000 }).toBe(3);
        await follow(set(...first));
        expect(await send()).toBe(0);
        const onTheWay: number[] = [];
        kernel.onWrite = async () => void onTheWay.push(await send());
        await follow(set(...second));
        expect(onTheWay.length).toBeGreaterThan(0);
        expect(onTheWay).toEqual(onTheWay.map(() => 0));
      },
      300_000,
    );
  });
}
