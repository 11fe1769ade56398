/** Real connections and datagrams, the same ones in both worlds at the same time: who answers, and as whom it sees the client. */
import type { PodAnswer } from '../../src/lab/servers.ts';
import { PodServers } from '../../src/lab/servers.ts';
import type { PodPlan } from '../../src/lab/plan.ts';
import { parseIp } from '../../src/lib/ip.ts';
import { askAll } from '../../test/kernel/probe-streams.ts';
import type { TestCluster } from './api-objects.ts';
import type { Difference, Pair } from './compare-outcomes.ts';
import type { TracedNode, Way } from './outcome.ts';
import type { Probe } from './probes.ts';
import { describeProbe, probesOf, sourceOf } from './probes.ts';
import type { Random } from './random.ts';
import type { Machine } from './topology.ts';
import { families, hostPod, localPods, remotePods, serverPorts } from './topology.ts';
import type { World } from './world.ts';

/** Enough for one retransmission of a SYN. */
const timeoutMs = 1300;
/** Connections of each probe: what is drawn by chance is met more than once. */
const repeats = 4;
/** So many probes are asked at once. */
const handful = 40;

const machines: readonly Machine[] = [...localPods, ...remotePods, hostPod];

/** Servers of all pods of a world; they answer who they are and whom they see. */
export async function openServers(world: World, cacheDirectory: string): Promise<PodServers> {
  const servers = new PodServers(cacheDirectory);
  for (const machine of machines) {
    const problems = await servers.open(planOf(world, machine));
    if (problems.length > 0) throw new Error(problems.join('; '));
  }
  return servers;
}

export interface ComparedPackets {
  readonly probes: number;
  /** Connections in both worlds together, by how they ended. */
  readonly tally: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
}

export interface PacketOptions {
  readonly cluster: TestCluster;
  readonly worlds: Pair<World>;
  readonly traced: Pair<TracedNode>;
  readonly random: Random;
  /** How many probes of the cluster are sent. */
  readonly count: number;
  readonly isByDesign: (difference: Difference) => boolean;
}

export async function comparePackets(options: PacketOptions): Promise<ComparedPackets> {
  const { cluster, worlds, random, count, traced } = options;
  const chosen = random.shuffled(probesOf(cluster).filter(canBeSent)).slice(0, count);
  const differs = (probe: Probe, answers: Answers): Difference | undefined => {
    const found = { kubeProxy: distinct(answers.kubeProxy), sluice: distinct(answers.sluice) };
    return isSame(probe, found, traced) ? undefined : differenceOf(probe, found, traced);
  };
  const isSettled = (probe: Probe, answers: Answers): boolean => {
    if ([...answers.kubeProxy, ...answers.sluice].includes('no-answer')) return false;
    const difference = differs(probe, answers);
    return difference === undefined || options.isByDesign(difference);
  };
  const heard = await askPatiently(worlds, chosen, isSettled);
  const tally = new Map<string, number>();
  for (const { kubeProxy, sluice } of heard) {
    for (const text of [...kubeProxy, ...sluice]) {
      const kind = text.includes(' as ') ? 'answered' : text;
      tally.set(kind, (tally.get(kind) ?? 0) + 1);
    }
  }
  const differences = chosen.flatMap((probe, index) => {
    const answers = heard[index];
    return answers === undefined ? [] : (differs(probe, answers) ?? []);
  });
  return { probes: chosen.length, tally, differences };
}

function differenceOf(probe: Probe, found: Pair<readonly string[]>, traced: Pair<TracedNode>): Difference {
  const paths = { kubeProxy: traced.kubeProxy.pathOf(probe), sluice: traced.sluice.pathOf(probe) };
  const outcomes = { kubeProxy: traced.kubeProxy.outcomeOf(probe), sluice: traced.sluice.outcomeOf(probe) };
  const asked = { probe, outcomes };
  return { kind: 'packets', service: probe.service, what: describeProbe(probe), ...found, asked, paths };
}

/** SCTP has no sockets here; a client far away is not there; what was not DNATed to a neighbour is the neighbour's. */
function canBeSent({ protocol, from, what, isKnown }: Probe): boolean {
  return protocol !== 'SCTP' && from !== 'far' && isKnown !== true && what !== 'nodePort elsewhere';
}

type Answers = Pair<readonly string[]>;

/** In handfuls, or servers are asked more than they can answer in time; what is not settled is asked once more, with more time. */
async function askPatiently(
  worlds: Pair<World>,
  probes: readonly Probe[],
  isWell: (probe: Probe, answers: Answers) => boolean,
): Promise<readonly Answers[]> {
  const heard: Answers[] = [];
  for (let at = 0; at < probes.length; at += handful) {
    heard.push(...(await ask(worlds, probes.slice(at, at + handful), timeoutMs)));
  }
  const open = probes.flatMap((probe, index) => {
    const first = heard[index];
    return first === undefined || isWell(probe, first) ? [] : [{ probe, index }];
  });
  const again = await ask(worlds, open.map(({ probe }) => probe).slice(0, handful), 3 * timeoutMs);
  for (const [at, answers] of again.entries()) {
    const { index } = open[at] ?? {};
    if (index !== undefined) heard[index] = answers;
  }
  return heard;
}

async function ask(worlds: Pair<World>, probes: readonly Probe[], patienceMs: number): Promise<readonly Answers[]> {
  const sides = ['kubeProxy', 'sluice'] as const;
  const asked = probes.flatMap((probe) =>
    sides.flatMap((side) => Array.from({ length: repeats }, () => ({ probe, side }))),
  );
  if (asked.length === 0) return [];
  const requests = asked.map(({ probe: { from, to, port, protocol }, side }, id) => ({
    id,
    netns: worlds[side].netnsOfClient(from),
    address: to,
    port,
    protocol,
  }));
  const results = new Map(
    (await askAll(requests, patienceMs)).map(({ id, detail, body }) => [id, textOf(detail, body)]),
  );
  return probes.map((_probe, index) => {
    const first = index * 2 * repeats;
    const of = (start: number) => Array.from({ length: repeats }, (_, at) => results.get(start + at) ?? 'not sent');
    return { kubeProxy: of(first), sluice: of(first + repeats) };
  });
}

/** `local1:8080 as 10.244.1.20`, `2 healthy`, or why nobody answered. */
function textOf(detail: string, body: string | undefined): string {
  if (detail !== 'answered' || body === undefined) return detail;
  const parsed: unknown = JSON.parse(body);
  if (typeof parsed === 'object' && parsed !== null && 'localEndpoints' in parsed) {
    return `${String(parsed.localEndpoints)} healthy`;
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own servers wrote it
  const { pod, port, client } = parsed as PodAnswer;
  return `${pod}:${port} as ${client}`;
}

/** One drawn endpoint or another is no difference: but each answer must be one that the rules of both can give. */
function isSame(probe: Probe, found: Pair<readonly string[]>, traced: Pair<TracedNode>): boolean {
  if (found.kubeProxy.join() === found.sluice.join()) return true;
  const texts = [...found.kubeProxy, ...found.sluice];
  return [traced.kubeProxy, traced.sluice].every((node) => {
    const ways = node.waysOf(probe).map(({ way }) => way);
    return ways.length > 1 && texts.every((text) => ways.some((way) => canGive(way, text, probe)));
  });
}

function canGive(way: Way, text: string, probe: Probe): boolean {
  const server = serverAt(way.to, probe.protocol);
  if (text.includes(' as ')) return server !== undefined && text === `${server} as ${way.seenAs}`;
  const isSilent = server === undefined || isAsymmetric(way, probe);
  return way.verdict === 'accept' && isSilent;
}

/** The answer of an endpoint elsewhere to a client elsewhere does not come back through the node that translated. */
function isAsymmetric({ to, seenAs }: Way, { from, family }: Probe): boolean {
  const isElsewhere = from === 'outside' || from === 'remote';
  const isRemote = remotePods.some(({ addresses }) => to.includes(addresses[family]));
  return isElsewhere && isRemote && seenAs === sourceOf(from, family);
}

/** `local1:8080`, where that pod listens there. */
function serverAt(to: string, protocol: Probe['protocol']): string | undefined {
  const [, host = '', port = ''] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(to) ?? [];
  const machine = machines.find(({ addresses }) => families.some((family) => addresses[family] === host));
  const isOpen = serverPorts.some((open) => open.port === Number(port) && open.protocol === protocol);
  return machine === undefined || !isOpen ? undefined : `${machine.name}:${port}`;
}

function planOf(world: World, machine: Machine): PodPlan {
  const isHost = machine === hostPod;
  return {
    key: `default/${machine.name}`,
    namespace: 'default',
    name: machine.name,
    netns: isHost ? world.node : world.netnsOf(machine.name),
    node: machine.node,
    hostNetwork: isHost,
    addresses: families.flatMap((family) => parseIp(machine.addresses[family]) ?? []),
    hostInterface: '',
    ports: serverPorts,
  };
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted();
}
