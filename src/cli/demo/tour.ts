/** The tour: three pods on a lab, a policy, who reaches whom before and after, and what it looks like in the kernel. */
import { copyFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../backends/exec.ts';
import { askAgent } from '../../lab/ask-agent.ts';
import { labDown } from '../../lab/down.ts';
import { labDefaults } from '../../lab/options.ts';
import { type LabState, runDirectory } from '../../lab/run-directory.ts';
import { labUp } from '../../lab/up.ts';
import { exitCodes } from '../exit-code.ts';
import type { CommandIo } from '../io.ts';
import { terminalPaint } from '../paint.ts';
import { progressLine } from '../progress-line.ts';
import { formatTable } from '../table.ts';
import { type Cell, connectivity, connectivityTable, curlOf, summarize, type Workload } from './connectivity.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples', 'seed');
const mainFile = join(import.meta.dirname, '..', '..', 'main.ts');
const labName = 'sluice-demo';
const programmedWithinMs = 10_000;
const policy = 'allow-db-access';
/** What a reader of the kernel looks for (docs/dataplane.md). */
const databaseInterface = 'cali95aa86cbb2a';
const policyChain = 'cali-pi-_tTE-E7yY40ogArNVgKt';
const policySet = 'cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge';

interface Tour {
  readonly io: CommandIo;
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly heading: (text: string) => void;
}

/** Leaves nothing behind, and exit code 0 only if every cell of both tables is as expected. */
export async function runTour(io: CommandIo): Promise<void> {
  const signal = io.takeInterrupts();
  const directory = await mkdtemp(join(tmpdir(), 'sluice-demo-'));
  const paint = terminalPaint(io.colour);
  const heading = (text: string): void => io.out(`\n${paint.strong(text)}\n\n`);
  try {
    await walk({ io, directory, signal, heading });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  if (signal.aborted) io.exitCode = exitCodes.interrupted;
}

async function walk(tour: Tour): Promise<void> {
  const { io, directory, signal, heading } = tour;
  heading('A node, three pods and their Services, each in a network namespace of its own, and an agent');
  await copyFile(join(examples, 'cluster.yaml'), join(directory, 'cluster.yaml'));
  const lab = await labUp({ ...labDefaults, name: labName, directory }, { signal, onProgress: progressLine(io) });
  // A lab that did not come up has taken itself away.
  try {
    await showLab(tour, lab);
  } finally {
    await labDown({ name: labName });
  }
}

async function showLab(tour: Tour, lab: LabState): Promise<void> {
  const { io, directory, signal, heading } = tour;
  const workloads = workloadsOf(lab);

  heading('Before the policy, everybody reaches everybody');
  const before = await connectivity(workloads, () => true);
  showTable(io, before);

  heading(`The policy ${policy}: only pods with the label reach db`);
  await cp(join(examples, 'policy'), join(directory, 'policy'), { recursive: true });
  await waitForPolicy(signal);
  const after = await connectivity(workloads, (from, to) => to !== 'db' || from !== 'frontend');
  showTable(io, after);
  for (const cell of after.filter(({ from, to }) => to === 'db' && from !== 'db')) {
    io.out(`${cell.from}$ ${curlOf(cell.to).join(' ')}\n${cell.detail}\n`);
  }

  await showInside(tour, lab);
  summarize(io, [...before, ...after]);
}

async function showInside({ io, heading }: Tour, lab: LabState): Promise<void> {
  const node = lab.nodes[0];
  if (node === undefined) throw new Error('the lab has no node');
  const agent = runDirectory(labName).agent(node.name);

  heading("The policy as Calico's own object, from the node's agent");
  io.out(`$ export SLUICE_RUN_DIR=${agent}\n`);
  await showSluice(io, ['get', 'networkpolicy', '-o', 'yaml'], agent);
  heading('The workload endpoints');
  await showSluice(io, ['get', 'workloadEndpoint'], agent);
  heading("What is in the kernel: the db pod's chains, the policy's chain, and the set that it asks");
  const saved = (await run(['ip', 'netns', 'exec', node.netns, 'iptables-nft-save', '-t', 'filter'])).stdout;
  showLines(io, saved, databaseInterface);
  showLines(io, saved, policyChain);
  io.out(`# ipset list ${policySet}\n`);
  io.out((await run(['ip', 'netns', 'exec', node.netns, 'ipset', 'list', policySet])).stdout);
  heading('Why frontend does not reach db');
  await showSluice(io, ['explain', 'frontend', 'svc/db:80'], agent);
}

/** Runs one of our own commands as a user would, who has exported the agent's run directory. */
async function showSluice(io: CommandIo, args: readonly string[], runDir: string): Promise<void> {
  io.out(`$ sluice ${args.join(' ')}\n`);
  const { stdout } = await run(['env', `SLUICE_RUN_DIR=${runDir}`, process.execPath, mainFile, ...args]);
  io.out(stdout);
}

function showLines(io: CommandIo, saved: string, word: string): void {
  io.out(`# iptables-save -t filter | grep ${word}\n`);
  const lines = saved.split('\n').filter((line) => line.includes(word));
  io.out(`${lines.join('\n')}\n\n`);
}

function showTable(io: CommandIo, cells: readonly Cell[]): void {
  const names = [...new Set(cells.map(({ from }) => from))];
  io.out(formatTable(['from \\ to', ...names], connectivityTable(cells)));
}

/** A pod's workload is the part of its name before the Deployment's hashes. */
function workloadsOf(lab: LabState): readonly Workload[] {
  return ['frontend', 'backend', 'db'].map((name) => {
    const pod = lab.pods.find(({ key }) => key.startsWith(`default/${name}-`));
    if (pod === undefined) throw new Error(`the lab has no pod of ${name}`);
    return { name, pod: pod.key.replace('default/', ''), netns: pod.netns };
  });
}

/** Until the agent says that the policy isolates the db pod, in the kernel. */
async function waitForPolicy(signal: AbortSignal): Promise<void> {
  const directory = runDirectory(labName).agent('minikube');
  const deadline = performance.now() + programmedWithinMs;
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    const report = await askAgent(directory);
    const isIsolated = report?.endpoints.endpoints.some(({ ingress }) =>
      ingress.some((id) => id.endsWith(`.${policy}`)),
    );
    if (isIsolated === true && report?.status.revision === report?.endpoints.appliedRevision) return;
    await sleep(20);
  }
  throw new Error(`the policy was not in the kernel after ${programmedWithinMs / 1000} s`);
}
