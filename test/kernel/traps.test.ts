/** Tricks that try to get round each protection, with real packets, on both CNIs: each is seen to work once the protection is taken away. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespaceOf } from '../../src/lab/exec.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import type { IpAddress, IpFamily } from '../../src/lib/ip.ts';
import { datagramFrame, routerMessageFrame } from './frames.ts';
import { restartAgents, testLab, untilTrue, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { probe, probeAll } from './probe.ts';
import { arrivalsWhile, inside, linkOf, sendFrames } from './raw-packets.ts';
import { steady, Stream } from './stream.ts';
import {
  addressOfPod,
  all,
  gateways,
  ip,
  outsideAddresses,
  policyText,
  trapManifests,
  unusedAddresses,
  verdictsOf,
  vethOf,
} from './trap-cluster.ts';
import { withUnknownPod } from './unknown-pod.ts';
import { whileFrozen, withoutRules, type ChosenRules, type NodeKernel } from './without.ts';

const choices = [
  { cni: 'ptp', iptables: 'legacy' },
  { cni: 'bridge', iptables: 'nft' },
] as const;
const families = ['ipv4', 'ipv6'] as const;

for (const { cni, iptables } of choices) {
  describeKernel(`tricks on ${cni}, iptables-${iptables}`, () => {
    let lab: TestLab;
    let node: NodeKernel;

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': trapManifests }, { cni, iptables, ipFamilies: families });
      expect(lab.state.messages).toEqual([]);
      node = { netns: namespaceOf(lab.state, 'node/node-a'), variant: iptables };
      // The kernel has opinions of its own about sources; what is tried here is ours.
      for (const name of ['all', vethOf('mallory')]) {
        await setSysctl(`net/ipv4/conf/${name}/rp_filter`, '0');
        await setSysctl(`net/ipv4/conf/${name}/accept_local`, '1');
      }
    });
    afterAll(() => lab?.down());

    test('without tricks everything is as the policies say', async () => {
      const allowed = ['friend -> server', 'mallory -> open', 'far -> open', 'far -> mute', 'server -> far'];
      const denied = ['mallory -> server', 'far -> server', 'friend -> jailed', 'jailed -> open', 'mute -> open'];
      expect(await verdicts([...allowed, ...denied])).toEqual({ ...all('allowed', allowed), ...all('denied', denied) });
    });

    test.each(families)("a pod that borrows its friend's address is not taken for it: %s", async (family) => {
      const borrowed = { from: addressOfPod(lab.state, 'friend', family), target: 'server' };
      expect(await arrived([borrowed])).toEqual([false]);
      expect(await without(antiSpoof, () => arrived([borrowed]))).toEqual([true]);
    });

    test.each(families)('no other address can be borrowed either: %s', async (family) => {
      const sources = {
        own: addressOfPod(lab.state, 'mallory', family),
        neighbour: addressOfPod(lab.state, 'friend', family),
        gateway: gateways[family],
        unused: unusedAddresses[family],
        remotePod: addressOfPod(lab.state, 'far', family),
        outside: outsideAddresses[family],
      };
      const tries = Object.values(sources).map((from) => ({ from, target: 'open' }));
      const named = (found: readonly boolean[]) => Object.keys(sources).filter((_name, index) => found[index] === true);
      expect(named(await arrived(tries))).toEqual(['own']);
      // In the pod network, and no pod that is programmed has it: that is seen to in FORWARD too.
      const nobodys = ['gateway', 'unused'];
      await without(antiSpoof, async () => {
        const others = Object.keys(sources).filter((name) => !nobodys.includes(name));
        expect(named(await arrived(tries))).toEqual(others);
        await withoutRules(node, unknownInForward, async () => {
          expect(named(await arrived(tries))).toEqual(Object.keys(sources));
        });
      });
    });

    test.each(families)('a priority tag hides nothing: %s', async (family) => {
      const own = { from: addressOfPod(lab.state, 'mallory', family), target: 'server', isTagged: true };
      const friend = {
        from: addressOfPod(lab.state, 'friend', family),
        target: 'server',
        isTagged: true,
        by: 'friend',
      };
      expect(await arrived([own])).toEqual([false]);
      expect(await arrived([friend])).toEqual([true]);
      if (cni !== 'bridge') return;
      const setting = 'net/bridge/bridge-nf-filter-vlan-tagged';
      await whileFrozen(lab, async () => {
        await setSysctl(setting, '0');
        expect(await arrived([own])).toEqual([true]);
        await setSysctl(setting, '1');
      });
    });

    test('a pod cannot claim to be a router', async () => {
      const receiver = cni === 'bridge' ? netnsOf('open') : node.netns;
      const { mac } = await linkOf(netnsOf('mallory'), 'eth0');
      const froms = [addressOfPod(lab.state, 'mallory', 'ipv6'), ip('fe80::bad')];
      const claim = async (): Promise<readonly number[]> => {
        const frames = ([134, 137] as const).flatMap((type) =>
          froms.map((from) => routerMessageFrame(mac, from, type)),
        );
        const sending = () => sendFrames(netnsOf('mallory'), 'eth0', frames);
        const { types } = await arrivalsWhile(receiver, cni === 'bridge' ? 'prerouting' : 'input', sending);
        return [134, 137].filter((type) => types.has(type));
      };
      expect(await claim()).toEqual([]);
      const routers: ChosenRules = { table: 'raw', isChosen: (rule) => rule.startsWith('-A cali-raw-router ') };
      // On a bridge a redirect comes to FORWARD, where it is an answer to nothing: INVALID.
      expect(await without(routers, claim)).toEqual(cni === 'bridge' ? [134] : [134, 137]);
    });

    test('a foreign rule that accepts above ours closes what is policed, and opens nothing', async () => {
      const policed = ['mallory -> server', 'far -> server', 'friend -> jailed', 'jailed -> open', 'jailed -> far'];
      const closed = ['friend -> server', 'server -> open', 'open -> mute'];
      const others = ['mallory -> open', 'far -> open', 'node/node-a -> jailed'];
      await whileFrozen(lab, async () => {
        for (const program of ['iptables', 'ip6tables']) await nodeTool(program, '-I FORWARD -j ACCEPT');
        const arrows = [...policed, ...closed, ...others];
        const guarded = { ...all('denied', [...policed, ...closed]), ...all('allowed', others) };
        expect(await verdicts(arrows)).toEqual(guarded);
        const guard: ChosenRules = { table: 'mangle', isChosen: (rule) => rule.startsWith('-A cali-POSTROUTING ') };
        expect(await withoutRules(node, guard, () => verdicts(arrows))).toEqual(all('allowed', arrows));
        for (const program of ['iptables', 'ip6tables']) await nodeTool(program, '-D FORWARD -j ACCEPT');
      });
    });

    test('the node reaches pods that nobody else reaches, as kubelet does, and they do not reach it', async () => {
      const allowed = ['node/node-a -> jailed', 'node/node-a -> selfish', 'node/node-a -> mute'];
      const denied = ['node/node-b -> jailed', 'jailed -> node/node-a:18080', 'mute -> node/node-a:18080'];
      expect(await verdicts([...allowed, ...denied, 'open -> node/node-a:18080'])).toEqual({
        ...all('allowed', [...allowed, 'open -> node/node-a:18080']),
        ...all('denied', denied),
      });
      // Its answers are answers: without the first rule of its chain the probe would fail.
      const answers: ChosenRules = {
        table: 'filter',
        isChosen: (rule) => rule.startsWith(`-A cali-fw-${vethOf('jailed')} `) && rule.includes('RELATED,ESTABLISHED'),
      };
      const probed = ['node/node-a -> jailed'];
      expect(await without(answers, () => verdicts(probed))).toEqual(all('denied', probed));
    });

    test('answers always pass, whatever the direction that is denied', async () => {
      const flows = ['friend -> mute', 'outside -> mute', 'server -> open', 'server -> far'];
      expect(await verdicts(flows)).toEqual(all('allowed', flows));
      const udp = { from: 'friend', to: 'mute', port: 53, protocol: 'UDP' } as const;
      for (const family of families)
        expect(await probe(lab.state, { ...udp, family })).toMatchObject({ verdict: 'allowed' });
      const answers: ChosenRules = {
        table: 'filter',
        isChosen: (rule) =>
          rule.includes('RELATED,ESTABLISHED') &&
          (rule.startsWith(`-A cali-fw-${vethOf('mute')} `) || rule.startsWith(`-A cali-tw-${vethOf('server')} `)),
      };
      // Between two pods of a node the sender's chain lets the answer through before the receiver's is asked.
      const needed = flows.filter((flow) => flow !== 'server -> open');
      expect(await without(answers, () => verdicts(needed))).toEqual(all('denied', needed));
    });

    test('neighbour discovery goes on where egress is denied', async () => {
      const flows = ['friend -> mute', 'node/node-a -> mute', 'node/node-a -> jailed'];
      const forget = async (): Promise<void> => {
        for (const pod of ['friend', 'mute', 'jailed', 'node/node-a']) {
          await inside(netnsOf(pod), ['ip', '-6', 'neighbour', 'flush', 'all']);
        }
      };
      await forget();
      expect(await verdicts(flows)).toEqual(all('allowed', flows));
      const discovery: ChosenRules = {
        table: 'filter',
        isChosen: (rule) => /^-A cali-(FORWARD|INPUT) .*--icmpv6-type 13[56] /.test(rule),
      };
      const blind = await without(discovery, async () => {
        await forget();
        return verdicts(flows);
      });
      expect(blind).toEqual(Object.fromEntries(flows.map((flow) => [flow, 'ipv4: answered, ipv6: timeout'])));
      expect(await verdicts(flows)).toEqual(all('allowed', flows));
    });

    test('a pod reaches itself through its Service, though it may talk to nobody', async () => {
      const { state } = await loadManifests(lab.state.directory, clusterDefaults({ ipFamilies: families }));
      const addresses = state.services.get('default/selfish')?.clusterIps ?? [];
      expect(addresses).toHaveLength(2);
      const flows = addresses.map((to) => ({ from: 'selfish', to, port: 80, protocol: 'TCP' as const }));
      const toItself = async () => (await probeAll(lab.state, flows)).map(({ verdict }) => verdict);
      expect(await toItself()).toEqual(['allowed', 'allowed']);
      const strangers = flows.map((flow) => ({ ...flow, from: 'friend' }));
      expect((await probeAll(lab.state, strangers)).map(({ verdict }) => verdict)).toEqual(['denied', 'denied']);
      const self: ChosenRules = { table: 'filter', isChosen: (rule) => rule.startsWith('-A cali-self ') };
      expect(await without(self, toItself)).toEqual(['denied', 'denied']);
      if (cni !== 'bridge') return;
      const port = vethOf('selfish');
      await whileFrozen(lab, async () => {
        await inside(node.netns, ['bridge', 'link', 'set', 'dev', port, 'hairpin', 'off']);
        expect(await toItself()).toEqual(['denied', 'denied']);
        await inside(node.netns, ['bridge', 'link', 'set', 'dev', port, 'hairpin', 'on']);
      });
    });

    test('a pod that no object tells of talks to nobody but its node', async () => {
      const none = ['node/node-b -> unknown', 'open -> unknown', 'far -> unknown', 'outside -> unknown'];
      const nothing = ['unknown -> open', 'unknown -> far', 'unknown -> outside', 'unknown -> node/node-a:18080'];
      const arrows = [...none, ...nothing];
      const probes = ['node/node-a -> unknown'];
      await withUnknownPod(lab.state, async (grown) => {
        expect(await verdictsOf(grown, [...arrows, ...probes])).toEqual({
          ...all('denied', arrows),
          ...all('allowed', probes),
        });
        const addresses = families.map((family) => unusedAddresses[family]);
        await whileFrozen(lab, async () => {
          await eachProgrammed('add', addresses);
          expect(await verdictsOf(grown, arrows)).toEqual(all('allowed', arrows));
          await eachProgrammed('del', addresses);
        });
      });
    });

    test('connections that may go on do so through changes of policy and while agents die', async () => {
      const flows = families.flatMap((family) => [
        { from: 'friend', to: addressOfPod(lab.state, 'server', family) },
        { from: 'server', to: addressOfPod(lab.state, 'far', family) },
      ]);
      const streams = flows.map(({ from, to }) => new Stream(netnsOf(from), to));
      await untilTrue('every stream runs', () => streams.every(({ lines }) => lines > 0));
      await lab.write('unrelated.yaml', policyText('open', 'policyTypes: [Egress]'));
      await lab.untilProgrammed('NetworkPolicy', 5);
      const alsoMallory =
        'ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: app, operator: In, values: [friend, mallory] }] } }] }]';
      await lab.write('server.yaml', policyText('server', alsoMallory).replace('name: server', 'name: server-too'));
      await lab.untilProgrammed('NetworkPolicy', 6);
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        await restartAgents(lab, signal);
        expect(await verdicts(['friend -> server', 'far -> server'])).toEqual({
          'friend -> server': 'allowed',
          'far -> server': 'denied',
        });
      }
      await lab.remove('unrelated.yaml');
      await lab.remove('server.yaml');
      await lab.untilProgrammed('NetworkPolicy', 4);
      const before = streams.map(({ lines }) => lines);
      await untilTrue('every stream goes on', () => streams.every(({ lines }, at) => lines > (before[at] ?? 0) + 3));
      expect(streams.map((stream) => stream.end())).toEqual(flows.map(() => steady));
    });

    const verdicts = (arrows: readonly string[]) => verdictsOf(lab.state, arrows);
    const netnsOf = (pod: string): string => namespaceOf(lab.state, pod);
    const antiSpoof: ChosenRules = {
      table: 'raw',
      isChosen: (rule) => rule.startsWith(`-A cali-src-${vethOf('mallory')} `) && rule.endsWith('-j DROP'),
    };

    const unknownInForward: ChosenRules = {
      table: 'filter',
      isChosen: (rule) => /^-A cali-FORWARD .* ! --match-set cali[46]0programmed /.test(rule),
    };

    async function eachProgrammed(verb: 'add' | 'del', addresses: readonly IpAddress[]): Promise<void> {
      for (const address of addresses) {
        const set = address.includes(':') ? 'cali60programmed' : 'cali40programmed';
        await inside(node.netns, ['ipset', verb, set, address]);
      }
    }

    async function nodeTool(program: string, words: string): Promise<void> {
      await inside(node.netns, [`${program}-${iptables}`, ...words.split(' ')]);
    }

    function without<T>(chosen: ChosenRules, act: () => Promise<T>): Promise<T> {
      return whileFrozen(lab, () => withoutRules(node, chosen, act));
    }

    async function setSysctl(path: string, value: string): Promise<void> {
      await inside(node.netns, ['tee', `/proc/sys/${path}`], value);
    }

    interface Try {
      readonly from: IpAddress;
      readonly target: string;
      readonly isTagged?: boolean;
      /** Who sends it. Default `mallory`. */
      readonly by?: string;
    }

    /** Whether each datagram came into its target's namespace. All of one family. */
    async function arrived(tries: readonly Try[]): Promise<readonly boolean[]> {
      const [target = ''] = tries.map((one) => one.target);
      const firstPort = 41_000;
      const { ports } = await arrivalsWhile(netnsOf(target), 'prerouting', async () => {
        for (const [index, one] of tries.entries()) await send(one, firstPort + index);
      });
      return tries.map((_one, index) => ports.has(firstPort + index));
    }

    async function send({ from, target, isTagged = false, by = 'mallory' }: Try, port: number): Promise<void> {
      const { mac: source } = await linkOf(netnsOf(by), 'eth0');
      const nextHop = cni === 'bridge' ? linkOf(netnsOf(target), 'eth0') : linkOf(node.netns, vethOf(by));
      const { mac: destination } = await nextHop;
      const family: IpFamily = from.includes(':') ? 'ipv6' : 'ipv4';
      const to = addressOfPod(lab.state, target, family);
      await sendFrames(netnsOf(by), 'eth0', [datagramFrame({ source, destination, isTagged }, { from, to, port })]);
    }
  });
}

describeKernel('podStart: open', () => {
  test('a pod that no object tells of is let through', async () => {
    const agentArguments = ['--pod-start', 'open'];
    const lab = await testLab({ 'cluster.yaml': trapManifests }, { ipFamilies: families, agentArguments });
    try {
      const arrows = ['unknown -> open', 'open -> unknown', 'unknown -> far', 'unknown -> node/node-a:18080'];
      await withUnknownPod(lab.state, async (grown) => {
        expect(await verdictsOf(grown, arrows)).toEqual(all('allowed', arrows));
      });
    } finally {
      await lab.down();
    }
  });
});
