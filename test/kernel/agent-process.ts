/** The agent of one node of a lab, started and ended by the test itself. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import type { ProcessExit, RunningProcess } from '../../src/backends/exec.ts';
import { spawnProcess } from '../../src/backends/exec.ts';
import { askAgent as askForState } from '../../src/cli/agent-client.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { runDirectory } from '../../src/lab/run-directory.ts';
import { decodeState } from '../../src/server/state-codec.ts';
import type { TestLab } from './lab-fixture.ts';
import { untilTrue } from './lab-fixture.ts';
import { inside } from './raw-packets.ts';

export interface AgentPlace {
  readonly netns: string;
  readonly node: string;
  readonly manifests: string;
  /** Of an API server that is followed in their place. */
  readonly kubeconfig?: string;
  /** Of its own, for the socket and the log. */
  readonly runDir: string;
  readonly variant: 'nft' | 'legacy';
  /** Default true; false: Services are somebody else's. */
  readonly services?: boolean;
  /** Added to the agent's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Entry of another build. Default: of this one. */
  readonly main?: string;
  readonly flags?: readonly string[];
  /** What the agent is started by, outside of the network namespace: a program that becomes what is named behind it. */
  readonly wrapper?: readonly [string, ...string[]];
  /** Default: the run directory. */
  readonly logDir?: string;
}

/** Of the agent of `node-a` in a lab that has none of its own. Makes its run directory below `temporary`. */
export async function placeInLab(
  lab: TestLab,
  temporary: string,
  settings: Pick<AgentPlace, 'variant' | 'services'>,
): Promise<AgentPlace> {
  const runDir = join(temporary, 'run');
  await mkdir(runDir);
  const netns = namespaceOf(lab.state, 'node/node-a');
  return { netns, node: 'node-a', manifests: runDirectory(lab.name).cluster, runDir, ...settings };
}

const ownMain = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const startLine = '"agent started"';

export class AgentProcess {
  readonly #place: AgentPlace;
  readonly #process: RunningProcess;
  /** Lines of its predecessors in the same log. */
  readonly #startsBefore: number;
  #isEnded = false;

  private constructor(place: AgentPlace, process: RunningProcess, startsBefore: number) {
    this.#place = place;
    this.#startsBefore = startsBefore;
    this.#process = process;
    void process.exited.then(() => {
      this.#isEnded = true;
    });
  }

  /** Started, and nothing more. */
  static launch(place: AgentPlace): AgentProcess {
    const file = logOf(place);
    const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const log = { file };
    const inNetns = ['ip', 'netns', 'exec', place.netns, ...programOf(place, 'agent'), ...flagsOf(place)] as const;
    const { wrapper } = place;
    const argv = wrapper === undefined ? inNetns : ([...wrapper, ...inNetns] as const);
    return new AgentProcess(
      place,
      spawnProcess(argv, { stdout: log, stderr: log, env: place.env ?? {} }),
      before.split(startLine).length,
    );
  }

  /** Started, ready, and with everything in the kernel. */
  static async start(place: AgentPlace): Promise<AgentProcess> {
    const agent = AgentProcess.launch(place);
    await agent.untilSettled();
    return agent;
  }

  /** With `policies` NetworkPolicy objects known, where that is given. */
  async untilSettled(policies?: number): Promise<void> {
    let last: unknown;
    const isSettled = async (): Promise<boolean> => {
      if (this.#isEnded) throw new Error(`the agent ended:\n${await this.log()}`);
      const status = (await askAgent(this.#place.runDir))?.status;
      last = status;
      if (status === undefined || !status.ready || status.revision !== status.appliedRevision) return false;
      return policies === undefined || status.objects['NetworkPolicy'] === policies;
    };
    await untilTrue('the agent has programmed everything', isSettled, settleMs()).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}\n`, { cause: error });
    });
  }

  /** Nothing of former states is left behind (docs/adr/0015). */
  async untilTidy(): Promise<void> {
    const isTidy = async (): Promise<boolean> => (await askAgent(this.#place.runDir))?.status.leftBehind === false;
    await untilTrue('nothing is left behind', isTidy, settleMs());
  }

  /** It has read this NetworkPolicy, `namespace/name`; what it knew before may still be what is in the kernel. */
  async untilKnown(policy: string): Promise<void> {
    const socket = join(this.#place.runDir, 'sluice.sock');
    const isKnown = async (): Promise<boolean> => {
      if (this.#isEnded) throw new Error(`the agent ended:\n${await this.log()}`);
      const answer = await askForState(socket, '/api/state').catch(() => undefined);
      return decodeState(answer)?.networkPolicies.has(policy) ?? false;
    };
    await untilTrue(`the agent knows ${policy}`, isKnown, settleMs());
  }

  /** It has seen that the machine has what it needs; its first writes follow. */
  async untilAboutToWrite(): Promise<void> {
    await untilTrue('the agent starts', async () => (await this.log()).split(startLine).length > this.#startsBefore);
  }

  /** Never rejects. */
  get exited(): Promise<ProcessExit> {
    return this.#process.exited;
  }

  async end(signal: NodeJS.Signals): Promise<ProcessExit> {
    this.#process.kill(signal);
    return this.#process.exited;
  }

  /** Programs that write to the kernel, and how often each was run. */
  async writes(): Promise<Readonly<Record<string, number>>> {
    const metrics = await inside(this.#place.netns, ['curl', '-sS', 'http://127.0.0.1:9840/metrics']);
    const counts = metrics.matchAll(/^sluice_restore_calls_total\{program="([^"]*)"\} (\d+)$/gm);
    return Object.fromEntries([...counts].map(([, program = '', count]) => [program, Number(count)]));
  }

  async log(): Promise<string> {
    return readFile(logOf(this.#place), 'utf8');
  }
}

function logOf({ runDir, logDir = runDir }: AgentPlace): string {
  return join(logDir, 'agent.log');
}

/** A start takes a second; a machine with ten times more to do than it has processors is waited for. */
function settleMs(): number {
  return 60_000 * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism() / 4);
}

/** What `sluice cleanup --services` says. */
export async function cleanNode(place: AgentPlace): Promise<string> {
  const services = place.services === false ? [] : ['--services'];
  return inside(place.netns, [...programOf(place, 'cleanup'), ...services, '--run-dir', place.runDir]);
}

function programOf({ netns, main = ownMain }: AgentPlace, command: string): readonly [string, ...string[]] {
  if (netns === '') throw new Error('never in the network of the machine itself');
  return [process.execPath, main, command];
}

function flagsOf({
  node,
  manifests,
  kubeconfig,
  runDir,
  variant,
  services = true,
  flags: more = [],
}: AgentPlace): readonly string[] {
  const flags: Readonly<Record<string, string>> = {
    'node-name': node,
    ...(kubeconfig === undefined ? { manifests } : { kubeconfig }),
    'run-dir': runDir,
    'iptables-backend': variant,
    'cluster-cidrs': '10.88.0.0/16,fd00:10:88::/48',
  };
  return [
    ...Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]),
    ...(services ? ['--service-proxy'] : []),
    ...more,
  ];
}
