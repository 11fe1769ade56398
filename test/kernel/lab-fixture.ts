/** A lab of a test: made in a temporary directory, its manifests changed file by file, gone at the end. */
import { mkdir, mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentReport } from '../../src/lab/ask-agent.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { labDown } from '../../src/lab/down.ts';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { pause, readState, runDirectory } from '../../src/lab/run-directory.ts';
import { labUp } from '../../src/lab/up.ts';

export interface TestLab {
  readonly name: string;
  /** As it was when it came up. */
  readonly state: LabState;
  /** Puts a manifest in place, whole. */
  write(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** What the lab says about itself now. */
  readState(): Promise<LabState>;
  /** Resolves when every agent has so many objects of a kind, and all that it knows is in the kernel. */
  untilProgrammed(kind: string, count: number): Promise<void>;
  down(): Promise<void>;
}

export type TestLabChoice = Partial<Omit<LabOptions, 'directory' | 'name'>>;

let labCount = 0;

/** Brings up a lab of these manifests: file name to text. */
export async function testLab(files: Readonly<Record<string, string>>, choice: TestLabChoice = {}): Promise<TestLab> {
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-lab-'));
  process.env.SLUICE_LAB_RUN_DIR = join(temporary, 'run');
  const directory = join(temporary, 'manifests');
  await mkdir(directory);
  const name = `sltest-${process.pid}-${(labCount += 1)}`;
  const write = async (file: string, text: string): Promise<void> => {
    await writeFile(join(temporary, file), text);
    await rename(join(temporary, file), join(directory, file));
  };
  const down = async (): Promise<void> => {
    await labDown({ name });
    await rm(temporary, { recursive: true });
    delete process.env.SLUICE_LAB_RUN_DIR;
  };
  try {
    for (const [file, text] of Object.entries(files)) await write(file, text);
    const state = await labUp({ ...labDefaults, ...choice, directory, name });
    return {
      name,
      state,
      write,
      remove: (file) => unlink(join(directory, file)),
      readState: async () => (await readState(name)) ?? state,
      untilProgrammed: (kind, count) => untilProgrammed(state, kind, count),
      down,
    };
  } catch (error) {
    await down();
    throw error;
  }
}

/** Asks again and again until the answer is yes; the error says what was waited for. */
export async function untilTrue(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  withinMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
    await pause(25);
  }
}

/** What a node's agent says; throws where it does not answer. */
export async function agentReport(lab: LabState, node: string): Promise<AgentReport> {
  const report = await askAgent(runDirectory(lab.name).agent(node));
  if (report === undefined) throw new Error(`the agent of node ${node} does not answer`);
  return report;
}

/** Ends every agent of a lab; resolves when others, which the lab started in their place, have programmed everything. */
export async function restartAgents(lab: TestLab, signal: NodeJS.Signals): Promise<void> {
  await untilAgentsAreBack(lab, await endAgents(lab, signal));
}

/** Answers who they were; the lab starts others at once. */
export async function endAgents(lab: TestLab, signal: NodeJS.Signals): Promise<readonly number[]> {
  const pids = (await lab.readState()).processes.map(({ pid }) => pid);
  for (const pid of pids) process.kill(pid, signal);
  return pids;
}

/** Resolves when others than these have programmed everything. A start is a second of work for each, which a busy machine takes its time for. */
export async function untilAgentsAreBack(lab: TestLab, before: readonly number[]): Promise<void> {
  const areBack = async (): Promise<boolean> => {
    const { processes, nodes } = await lab.readState();
    if (processes.length < nodes.length || processes.some(({ pid }) => before.includes(pid))) return false;
    const reports = await Promise.all(nodes.map((node) => askAgent(runDirectory(lab.name).agent(node.name))));
    return reports.every((report) => report !== undefined && isSettled(report));
  };
  await untilTrue('other agents have come', areBack, 60_000);
}

function isSettled({ status }: AgentReport): boolean {
  return status.ready && status.revision === status.appliedRevision;
}

async function untilProgrammed(lab: LabState, kind: string, count: number): Promise<void> {
  let last = '';
  const isNode = async (node: string): Promise<boolean> => {
    const { status } = await agentReport(lab, node);
    const { ready, revision, appliedRevision, objects, parts, lastFailure } = status;
    last = JSON.stringify({ node, ready, revision, appliedRevision, objects, parts, lastFailure });
    return ready && revision === appliedRevision && (objects[kind] ?? 0) === count;
  };
  try {
    await untilTrue('', async () => (await Promise.all(lab.nodes.map(({ name }) => isNode(name)))).every(Boolean));
  } catch (error) {
    throw new Error(`agents have not programmed ${count} ${kind} objects: ${last}`, { cause: error });
  }
}
