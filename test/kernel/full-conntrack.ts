/** A node with 100,000 tracked connections, and a policy that comes and goes and denies some of them: when the last word of what it denies was heard. */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuSecondsOf } from '../../bench/process-costs.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import { AgentProcess, placeInLab, type AgentPlace } from './agent-process.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { inside } from './raw-packets.ts';
import { listenForAll, talkPorts, Talks } from './talk.ts';
import type { TalkKind, TalkOrder } from './talk-worker.ts';
import { addressOfPod, policyText } from './trap-cluster.ts';

export interface CutRound {
  /** From the policy's rename into place to the last message that any denied connection brought. */
  readonly lastMs: number;
  /** Of the agent and the programs that it ran, until all was cut. */
  readonly cpuMs: number;
  /** What is cut then, as members of the set. */
  readonly members: readonly string[];
}

export interface CutOptions {
  readonly rounds: number;
  readonly onRound: (round: CutRound) => void;
}

const entries = 100_000;
const kinds: readonly TalkKind[] = ['client', 'server', 'udp'];
/** Half of the 3,200 conversations that the table holds, and what `foe` says. */
export const deniedConversations = 1600 + kinds.length;
/** Of the clients' /21. */
const allowedBlock = '10.200.4.0/22';
const everyMs = 10;
const patienceMs = 120_000;
/** What is on its way is heard, and the next round does not wait for this one's end. */
const restMs = 2500;

const cluster = [
  'apiVersion: v1\nkind: Node\nmetadata: { name: node-a }',
  ...['server', 'friend', 'foe'].map(
    (name) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { nodeName: node-a, containers: [{ name: main, image: none }] }`,
  ),
].join('\n---\n');
const policy = policyText(
  'server',
  `ingress: [{ from: [{ podSelector: { matchLabels: { app: friend } } }, { ipBlock: { cidr: ${allowedBlock} } }] }]`,
);

/** In a lab of its own. Rejects where an allowed connection loses a message, or one that was cut does not go on when it may. */
export async function cutAgainAndAgain({ rounds, onRound }: CutOptions): Promise<void> {
  const lab = await testLab({ 'cluster.yaml': cluster }, { agents: false });
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-cut-'));
  let talks: Talks | undefined;
  let agent: AgentProcess | undefined;
  try {
    const place = await placeInLab(lab, temporary, { variant: 'nft', services: false });
    await fillTable(place, addressOfPod(lab.state, 'server', 'ipv4'), temporary);
    // First: what is older than the rules that track it is tracked from whoever spoke first since (docs/reliability.md, limits).
    agent = await AgentProcess.start(place);
    const spoken = new Talks(plansIn(lab.state));
    talks = spoken;
    await untilTrue('every connection speaks', () => spoken.ids.every((id) => spoken.of(id).times.length > 5));
    const bench = new CutBench(place, agent, spoken, join(runDirectory(lab.name).cluster, 'cut.yaml'));
    for (let round = 0; round < rounds; round += 1) onRound(await bench.round());
  } finally {
    await agent?.end('SIGTERM');
    await talks?.stop();
    await lab.down();
    await rm(temporary, { recursive: true });
  }
}

class CutBench {
  readonly #place: AgentPlace;
  readonly #agent: AgentProcess;
  readonly #talks: Talks;
  readonly #file: string;

  constructor(place: AgentPlace, agent: AgentProcess, talks: Talks, file: string) {
    this.#place = place;
    this.#agent = agent;
    this.#talks = talks;
    this.#file = file;
  }

  async round(): Promise<CutRound> {
    const tracked = Number(await inside(this.#place.netns, ['conntrack', '-C']));
    if (tracked < entries) throw new Error(`only ${tracked} connections are tracked`);
    const cuts = await this.#cuts();
    const next = join(this.#place.runDir, 'next.yaml');
    await writeFile(next, policy);
    const { pid } = (await askAgent(this.#place.runDir))?.status ?? { pid: 0 };
    const cpuBefore = cpuSecondsOf(pid);
    const since = Date.now();
    await rename(next, this.#file);
    await untilTrue('connections are cut', async () => (await this.#cuts()) > cuts, patienceMs);
    const cpuMs = (cpuSecondsOf(pid) - cpuBefore) * 1000;
    await pause(restMs);
    const lastMs = Math.max(...this.#denied().map((id) => this.#talks.of(id).lastAfter(since, Date.now())));
    const members = await this.#cutMembers();
    await rm(this.#file);
    const allowedAt = Date.now();
    const goesOn = (id: string): boolean => this.#talks.of(id).lastAfter(allowedAt, Date.now()) > 0;
    await untilTrue('what was cut goes on', () => this.#denied().every(goesOn), patienceMs);
    await pause(restMs);
    const broken = this.#talks.ids.filter((id) => id !== 'foe udp' && !this.#talks.of(id).isComplete);
    if (broken.length > 0) throw new Error(`messages were lost: ${broken.join(', ')}`);
    return { lastMs, cpuMs, members };
  }

  /** How often the agent has cut. */
  async #cuts(): Promise<number> {
    return (await this.#agent.log()).split('"connections were cut"').length - 1;
  }

  #denied(): readonly string[] {
    return this.#talks.ids.filter((id) => id.startsWith('foe '));
  }

  async #cutMembers(): Promise<readonly string[]> {
    const saved = await inside(this.#place.netns, ['ipset', 'save', 'cali40cut']);
    return [...saved.matchAll(/^add \S+ (\S+)$/gm)].map(([, member = '']) => member);
  }
}

/** Whether the policy denies what a member of the set stands for. */
export function isDeniedMember(member: string): boolean {
  const third = /^10\.200\.(\d+)\./.exec(member)?.[1];
  return third === undefined || Number(third) < 4;
}

function plansIn(lab: LabState): ConstructorParameters<typeof Talks>[0] {
  const address = addressOfPod(lab, 'server', 'ipv4');
  const calls = (from: string): TalkOrder['connect'] =>
    kinds.map((kind) => ({ id: `${from} ${kind}`, address, port: talkPorts[kind], kind }));
  return ['server', 'friend', 'foe'].map((pod) => ({
    netns: namespaceOf(lab, pod),
    order: { everyMs, listen: listenForAll, connect: pod === 'server' ? [] : calls(pod) },
  }));
}

/** With connections of 320 clients to ten ports of one pod, put there as the kernel itself would have them. */
async function fillTable({ netns }: AgentPlace, server: string, temporary: string): Promise<void> {
  const lines = Array.from({ length: entries }, (_, index) => {
    const client = `10.200.${index % 8}.${1 + (Math.floor(index / 8) % 40)}`;
    const [own, port] = [1024 + Math.floor(index / 3200), 8000 + (Math.floor(index / 320) % 10)];
    const ends = `-s ${client} -d ${server} -r ${server} -q ${client} --sport ${own} --dport ${port}`;
    const answer = `--reply-port-src ${port} --reply-port-dst ${own}`;
    return `-I -p tcp ${ends} ${answer} --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 3600\n`;
  });
  const file = join(temporary, 'entries');
  await writeFile(file, lines.join(''));
  await inside(netns, ['conntrack', '-R', file]);
}
