/** Pods that start under policies while others knock: what got through before it should, and how long what is allowed had to wait. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withNetns } from '../../bench/netns.ts';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { runBatch } from '../../src/lab/network.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabPlan, PodPlan } from '../../src/lab/plan.ts';
import { planLab } from '../../src/lab/plan.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { pause, runDirectory } from '../../src/lab/run-directory.ts';
import { podInnerLines, podLinkLines, podUnlinkLines } from '../../src/lab/wiring.ts';
import { vethName } from '../../src/dataplane/names.ts';
import type { EndpointStatus } from '../../src/telemetry/status.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { agentJson } from '../soak/agent-json.ts';
import { testLab, untilTrue } from './lab-fixture.ts';
import { arrivalsWhile } from './raw-packets.ts';
import { ip, policyText } from './trap-cluster.ts';

export interface PodStart {
  /** Who reached it, or was reached by it, although policy says no. */
  readonly leaks: readonly string[];
  /** From the moment that its object is known (its veth and address are there) to the first answer, in milliseconds. */
  readonly delayMs: Readonly<Record<StartFlow, number>>;
  /** From the same moment until /api says that it is programmed. */
  readonly programmedMs: number;
}

/** To the pod from its own node and from another one; from the pod to a pod of another node that takes it alone. */
export type StartFlow = 'local' | 'remote' | 'out';

export interface StartOptions {
  readonly count: number;
  readonly podStart: 'closed' | 'open';
  readonly onStart?: (start: PodStart, index: number) => void;
}

const ports = { local: 7001, remote: 7002, out: 7003, malloryLocal: 7011, malloryRemote: 7012, escape: 7013 };
const addresses = [101, 102, 103, 104].map((last) => ip(`10.88.0.${last}`));

const cluster = [
  nodeText('node-a', 0),
  nodeText('node-b', 1),
  ...['friend', 'mallory', 'sink'].map((name) => podText(name, 'node-a')),
  ...['far-friend', 'far-mallory', 'guard'].map((name) => podText(name, 'node-b')),
  policyText(
    'started',
    `policyTypes: [Ingress, Egress]
  ingress: [{ from: [{ podSelector: { matchExpressions: [{ key: app, operator: In, values: [friend, far-friend] }] } }] }]
  egress: [{ to: [{ podSelector: { matchLabels: { app: guard } } }] }]`,
  ),
  policyText('guard', 'ingress: [{ from: [{ podSelector: { matchLabels: { app: started } } }] }]'),
].join('\n---\n');

/** Starts so many pods one after the other in a lab of its own. */
export async function startPods({ count, podStart, onStart }: StartOptions): Promise<readonly PodStart[]> {
  const lab = await testLab({ 'cluster.yaml': cluster }, { agentArguments: ['--pod-start', podStart] });
  const knocking = knockAll(lab.state);
  try {
    const plan = await planOf(lab.state);
    const starts: PodStart[] = [];
    for (let index = 0; index < count; index += 1) {
      const start = await withNetns(['start'], ({ start: netns }) => startOne(lab.state, plan, netns.name, index));
      starts.push(start);
      onStart?.(start, index);
    }
    return starts;
  } finally {
    for (const process of knocking) process.kill('SIGKILL');
    await lab.down();
  }
}

/** What nobody may hear knocks at every address all the time, also when nobody is there. */
function knockAll(lab: LabState) {
  const script = join(import.meta.dirname, 'send-datagrams.pl');
  const knockers = [
    ['mallory', ports.malloryLocal],
    ['far-mallory', ports.malloryRemote],
  ] as const;
  return knockers.map(([pod, port]) =>
    spawnProcess(['nsenter', `--net=/run/netns/${namespaceOf(lab, pod)}`, 'perl', script, String(port), ...addresses], {
      stderr: 'ignore',
    }),
  );
}

async function startOne(lab: LabState, plan: LabPlan, netns: string, index: number): Promise<PodStart> {
  const pod = podPlan(netns, index);
  const node = plan.nodes.get(pod.node)?.netns ?? '';
  const file = join(runDirectory(lab.name).cluster, 'Pod', 'default', `${pod.name}.yaml`);
  let result: Omit<PodStart, 'leaks'> | undefined;
  let outward: ReadonlySet<number> = new Set();
  const { ports: inward } = await arrivalsWhile(netns, 'prerouting', async () => {
    const arrived = await arrivalsWhile(namespaceOf(lab, 'sink'), 'prerouting', async () => {
      const escaping = spawnInside(netns, 'send-datagrams.pl', ports.escape, addressOfPod(lab, 'sink'));
      try {
        result = await wireAndWait(lab, plan, pod, file);
      } finally {
        escaping.kill('SIGKILL');
      }
    });
    outward = arrived.ports;
  });
  await rm(file);
  await runBatch({ netns: node, lines: podUnlinkLines(pod) });
  if (result === undefined) throw new Error('the pod was not started');
  const leaks = [
    ...(inward.has(ports.malloryLocal) ? ['mallory of its node reached it'] : []),
    ...(inward.has(ports.malloryRemote) ? ['mallory of another node reached it'] : []),
    ...(outward.has(ports.escape) ? ['it reached whom it may not'] : []),
  ];
  return { ...result, leaks };
}

/** The veth and the address first, then the object, as a kubelet does it. */
async function wireAndWait(lab: LabState, plan: LabPlan, pod: PodPlan, file: string): Promise<Omit<PodStart, 'leaks'>> {
  const address: string = pod.addresses[0] ?? '';
  const answers = {
    local: firstAnswer(namespaceOf(lab, 'friend'), ports.local, address),
    remote: firstAnswer(namespaceOf(lab, 'far-friend'), ports.remote, address),
    out: firstAnswer(pod.netns, ports.out, addressOfPod(lab, 'guard')),
  };
  // All of them knock before there is anything to knock at.
  await pause(30);
  await runBatch({ netns: plan.nodes.get(pod.node)?.netns ?? '', lines: podLinkLines(plan, pod) });
  await runBatch({ netns: pod.netns, lines: podInnerLines(plan, pod) });
  await pause(20);
  const draft = join(runDirectory(lab.name).temporary, `${pod.name}.yaml`);
  await writeFile(draft, startedText(pod));
  const known = performance.timeOrigin + performance.now();
  await rename(draft, file);
  const [local, remote, out] = await Promise.all([answers.local, answers.remote, answers.out]);
  return {
    delayMs: { local: local - known, remote: remote - known, out: out - known },
    programmedMs: (await programmedAt(lab, pod)) - known,
  };
}

async function programmedAt(lab: LabState, pod: PodPlan): Promise<number> {
  let since: string | undefined;
  await untilTrue(`${pod.key} is programmed`, async () => {
    const found = await agentJson(runDirectory(lab.name).agent(pod.node), `/api/endpoints/${pod.key}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own /api
    since = (found as EndpointStatus).programmedSince;
    return since !== undefined;
  });
  return Date.parse(since ?? '');
}

/** When the first datagram was answered; rejects after 20 seconds. */
async function firstAnswer(netns: string, port: number, address: string): Promise<number> {
  const script = join(import.meta.dirname, 'first-answer.pl');
  const argv = ['nsenter', `--net=/run/netns/${netns}`, 'perl', script, String(port), address] as const;
  return Number((await run(argv, { timeoutMs: 20_000 })).stdout);
}

function spawnInside(netns: string, script: string, port: number, address: string) {
  const argv = ['perl', join(import.meta.dirname, script), String(port), address] as const;
  return spawnProcess(['nsenter', `--net=/run/netns/${netns}`, ...argv], { stderr: 'ignore' });
}

function addressOfPod(lab: LabState, pod: string): string {
  const address = lab.pods.find(({ key }) => key === `default/${pod}`)?.addresses[0];
  if (address === undefined) throw new Error(`pod ${pod} has no address`);
  return address;
}

async function planOf({ name, cni, ipFamilies, directory }: LabState): Promise<LabPlan> {
  const { state } = await loadManifests(directory, clusterDefaults({ ipFamilies }));
  return planLab(state, { ...labDefaults, name, cni, ipFamilies, directory });
}

function podPlan(netns: string, index: number): PodPlan {
  const name = `start-${index}`;
  return {
    key: `default/${name}`,
    namespace: 'default',
    name,
    netns,
    node: 'node-a',
    hostNetwork: false,
    addresses: addresses.slice(index % addresses.length, (index % addresses.length) + 1),
    hostInterface: vethName('default', name),
    ports: [],
  };
}

function startedText({ name, node, addresses: own }: PodPlan): string {
  const [address] = own;
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: started } }
spec: { nodeName: ${node}, serviceAccountName: default, containers: [{ name: main, image: none }] }
status: { phase: Running, podIP: ${address}, podIPs: [{ ip: ${address} }] }
`;
}

function nodeText(name: string, index: number): string {
  return `apiVersion: v1
kind: Node
metadata: { name: ${name} }
spec: { podCIDRs: [10.88.${index}.0/24] }
status: { addresses: [{ type: InternalIP, address: 172.31.255.${11 + index} }] }`;
}

function podText(name: string, node: string): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { nodeName: ${node}, containers: [{ name: main, image: none }] }`;
}
