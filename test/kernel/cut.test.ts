/** Open connections when policy changes, with real packets: what is denied ends within a second, whoever speaks next; what is allowed notices nothing. */
import { availableParallelism, loadavg } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { pause } from '../../src/lab/run-directory.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { cutAgainAndAgain, deniedConversations, isDeniedMember, type CutRound } from './full-conntrack.ts';
import { agentReport, restartAgents, testLab, untilTrue, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { probe } from './probe.ts';
import { listenForAll, talkPorts, Talks, type TalkPlan } from './talk.ts';
import type { TalkKind, TalkOrder } from './talk-worker.ts';
import { addressOfPod, policyText } from './trap-cluster.ts';

const kinds: readonly TalkKind[] = ['client', 'server', 'udp'];

/** `far` lives on node-b, everybody else on node-a. */
const cluster = [
  ...['node-a', 'node-b'].map((name) => `{ apiVersion: v1, kind: Node, metadata: { name: ${name} } }`),
  ...['server', 'friend', 'foe', 'mute', 'far'].map(podText),
  `apiVersion: v1
kind: Service
metadata: { name: server }
spec: { clusterIP: 10.96.0.77, selector: { app: server }, ports: [{ port: 80, targetPort: ${talkPorts.server} }] }`,
].join('\n---\n');

/** What `friend` has with `server` stays allowed, although nobody may call `friend` any more. */
const change = [
  policyText('server', 'ingress: [{ from: [{ podSelector: { matchLabels: { app: friend } } }] }]'),
  policyText('friend', 'policyTypes: [Ingress]'),
  policyText('mute', 'policyTypes: [Egress]'),
].join('\n---\n');

const choices = [
  { cni: 'ptp', iptables: 'nft', ipFamilies: ['ipv4'] },
  { cni: 'bridge', iptables: 'legacy', ipFamilies: ['ipv4', 'ipv6'] },
] as const;

for (const { cni, iptables, ipFamilies } of choices) {
  describeKernel(`open connections on ${cni}, iptables-${iptables}, ${ipFamilies.join(' and ')}`, () => {
    let lab: TestLab;
    let talks: Talks;

    beforeAll(async () => {
      lab = await testLab({ 'cluster.yaml': cluster }, { cni, iptables, ipFamilies });
      expect(lab.state.messages).toEqual([]);
      talks = new Talks(plansFor(lab, ipFamilies));
      await untilTrue('every connection speaks', () => talks.ids.every((id) => talks.of(id).times.length > 5));
    });
    afterAll(async () => {
      await tearDown(lab, talks);
    });

    test('what a change denies ends within a second; what stays allowed loses nothing and is not held up', async () => {
      const since = Date.now();
      await lab.write('policy.yaml', change);
      await pause(3000);
      const until = Date.now();
      for (const id of deniedIds(talks)) {
        expect([id, talks.of(id).lastAfter(since, until)]).toEqual([id, expect.toSatisfy(isBelow(1000 * slowness()))]);
      }
      for (const id of allowedIds(talks)) {
        expect([id, talks.of(id).longestPause(since)]).toEqual([id, expect.toSatisfy(isBelow(1000 * slowness()))]);
        expect([id, talks.of(id).isComplete]).toEqual([id, true]);
      }
    });

    test('every connection is still tracked, and a new one is refused as well', async () => {
      const members = await cutMembers(lab, 'node-a');
      expect(members.length).toBeGreaterThanOrEqual(ipFamilies.length * 7);
      expect(members).toContain(
        `${addressOfPod(lab.state, 'foe', 'ipv4')},tcp:${talkPorts.server},${addressOfPod(lab.state, 'server', 'ipv4')}`,
      );
      const toServer = { to: 'server', port: 80, protocol: 'TCP' } as const;
      expect((await probe(lab.state, { from: 'foe', ...toServer })).verdict).toBe('denied');
      expect((await probe(lab.state, { from: 'friend', ...toServer })).verdict).toBe('allowed');
      expect((await agentReport(lab.state, 'node-a')).status.ready).toBe(true);
    });

    test('an agent that is killed and comes back lets none of them go', async () => {
      const since = Date.now();
      const before = await cutMembers(lab, 'node-a');
      await restartAgents(lab, 'SIGKILL');
      await pause(500);
      expect(deniedIds(talks).filter((id) => talks.of(id).lastAfter(since, Date.now()) > 0)).toEqual([]);
      expect(allowedIds(talks).filter((id) => talks.of(id).longestPause(since) > 1000 * slowness())).toEqual([]);
      expect((await cutMembers(lab, 'node-a')).toSorted()).toEqual(before.toSorted());
    });

    test('when policy allows them again they go on where they were, and nothing is missing', async () => {
      const since = Date.now();
      await lab.remove('policy.yaml');
      await untilTrue('every connection speaks again', () =>
        talks.ids.every((id) => talks.of(id).lastAfter(since, Date.now()) > 0),
      );
      const tcp = talks.ids.filter((id) => !id.endsWith('udp') && !id.endsWith('ping'));
      expect(tcp.filter((id) => !talks.of(id).isComplete)).toEqual([]);
      expect(await cutMembers(lab, 'node-a')).toEqual([]);
    });
  });
}

describeKernel('established: keep', () => {
  let lab: TestLab;
  let talks: Talks;

  beforeAll(async () => {
    lab = await testLab({ 'cluster.yaml': cluster }, { agentArguments: ['--established', 'keep'] });
    talks = new Talks(plansFor(lab, ['ipv4']));
    await untilTrue('every connection speaks', () => talks.ids.every((id) => talks.of(id).times.length > 5));
  });
  afterAll(async () => {
    await tearDown(lab, talks);
  });

  test('new connections are refused, open ones live on', async () => {
    const since = Date.now();
    await lab.write('policy.yaml', change);
    await lab.untilProgrammed('NetworkPolicy', 3);
    await pause(1500);
    const toServer = { from: 'foe', to: 'server', port: 80, protocol: 'TCP' } as const;
    expect((await probe(lab.state, toServer)).verdict).toBe('denied');
    expect(talks.ids.filter((id) => talks.of(id).longestPause(since) > 1000 * slowness())).toEqual([]);
    const sets = await inNode(lab, 'node-a', ['ipset', 'list', '-name']);
    expect(sets).not.toContain('cut');
  });
});

describeKernel('100,000 tracked connections', () => {
  test('a change cuts what it denies among them, whoever speaks next, and nothing else; allowed again they go on', async () => {
    const seen: CutRound[] = [];
    await cutAgainAndAgain({ rounds: 2, onRound: (round) => seen.push(round) });
    expect(seen).toHaveLength(2);
    // How long it takes is what \`npm run bench -- cut\` tells: with so many entries the machine's load counts most.
    for (const { members } of seen) {
      expect(members.filter((member) => !isDeniedMember(member))).toEqual([]);
      expect(members).toHaveLength(deniedConversations);
    }
  }, 600_000);
});

function podText(name: string): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec:
  nodeName: ${name === 'far' ? 'node-b' : 'node-a'}
  containers: [{ name: main, image: none, ports: [{ containerPort: 80 }] }]`;
}

/** The lab goes whatever became of the connections. */
async function tearDown(lab: TestLab | undefined, talks: Talks | undefined): Promise<void> {
  try {
    await talks?.stop();
  } finally {
    await lab?.down();
  }
}

/** Ids say who calls whom and how: `foe server ipv4 udp`. */
function plansFor({ state }: TestLab, families: readonly IpFamily[]): readonly TalkPlan[] {
  const calls = (from: string, to: string, only = kinds): TalkOrder['connect'] =>
    families.flatMap((family) =>
      only.map((kind) => ({
        id: `${from} ${to} ${family} ${kind}`,
        address: addressOfPod(state, to, family),
        port: talkPorts[kind],
        kind,
      })),
    );
  const plan = (of: string, connect: TalkOrder['connect']): TalkPlan => ({
    netns: namespaceOf(state, of),
    order: { listen: listenForAll, connect },
  });
  const [nodeAddress = ''] = state.nodes.find(({ name }) => name === 'node-a')?.addresses ?? [];
  const toService = { id: 'foe service ipv4 server', address: '10.96.0.77', port: 80, kind: 'server' } as const;
  const toNode = { id: 'mute node ipv4 client', address: nodeAddress, port: talkPorts.client, kind: 'client' } as const;
  const server = addressOfPod(state, 'server', 'ipv4');
  return [
    plan('node/node-a', calls('node', 'server')),
    plan('server', calls('server', 'server', ['client'])),
    { ...plan('friend', calls('friend', 'server')), ping: { id: 'friend server ipv4 ping', address: server } },
    { ...plan('foe', [...calls('foe', 'server'), toService]), ping: { id: 'foe server ipv4 ping', address: server } },
    plan('far', calls('far', 'server')),
    plan('mute', [...calls('mute', 'far'), toNode]),
  ];
}

/** By the change. */
function deniedIds({ ids }: Talks): readonly string[] {
  return ids.filter((id) => /^(?:foe|far|mute) /.test(id));
}

function allowedIds(talks: Talks): readonly string[] {
  const denied = new Set(deniedIds(talks));
  return talks.ids.filter((id) => !denied.has(id));
}

/** How much longer things take than on a machine that has a processor for everybody. */
function slowness(): number {
  return Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}

function isBelow(limit: number): (value: number) => boolean {
  return (value) => value < limit;
}

async function cutMembers(lab: TestLab, node: string): Promise<readonly string[]> {
  const names = lab.state.ipFamilies.map((family) => (family === 'ipv4' ? 'cali40cut' : 'cali60cut'));
  const texts = await Promise.all(names.map((name) => inNode(lab, node, ['ipset', 'save', name])));
  return texts.flatMap((text) => [...text.matchAll(/^add \S+ (\S+)$/gm)].map(([, member = '']) => member));
}

async function inNode(lab: TestLab, node: string, argv: readonly string[]): Promise<string> {
  const netns = namespaceOf(lab.state, `node/${node}`);
  return (await run(['ip', 'netns', 'exec', netns, ...argv])).stdout;
}
