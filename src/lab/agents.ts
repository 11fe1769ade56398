/** The real agents of a lab: one process in each node's network namespace, started again when it ends. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningProcess } from '../backends/exec.ts';
import { spawnProcess } from '../backends/exec.ts';
import type { Cidr } from '../lib/ip.ts';
import { formatCidr } from '../lib/ip.ts';
import type { Logger } from '../telemetry/logger.ts';
import { askAgent } from './ask-agent.ts';
import { LabError } from './lab-error.ts';
import type { LabOptions } from './options.ts';
import type { LabPlan, NodePlan } from './plan.ts';
import type { RecordedProcess, RunDirectory } from './run-directory.ts';
import { endProcesses, identityOf, pause, writePidFile } from './run-directory.ts';

const restartPauseMs = 1000;
const stopGraceMs = 5000;
const askEveryMs = 100;
const programmedWithinMs = 90_000;
/** An agent that ends so often before it was ever ready is not going to be. */
const hopelessEnds = 3;

export interface AgentContext {
  readonly options: LabOptions;
  readonly directory: RunDirectory;
  /** Pod networks of the whole lab. */
  readonly clusterCidrs: () => readonly Cidr[];
  readonly logger: Logger;
  /** Called whenever a process was started, so that it is on record from then on. */
  readonly onStarted: () => Promise<unknown>;
}

export class Agents {
  readonly #context: AgentContext;
  readonly #running = new Map<string, RecordedProcess>();
  readonly #ends = new Map<string, number>();
  #isStopping = false;

  constructor(context: AgentContext) {
    this.#context = context;
  }

  get processes(): readonly RecordedProcess[] {
    return [...this.#running.values()];
  }

  async start(node: NodePlan): Promise<void> {
    const { directory } = this.#context;
    const log = directory.log(`agent-${node.name}`);
    await mkdir(directory.agent(node.name), { recursive: true });
    const child = spawnProcess(['ip', 'netns', 'exec', node.netns, process.execPath, ...this.#arguments(node)], {
      stdout: { file: log },
      stderr: { file: log },
      env: withoutSettings(),
      detached: true,
    });
    const identity = await identityOf(child.pid);
    if (identity !== undefined) {
      this.#running.set(node.name, { what: `agent ${node.name}`, ...identity });
      await writePidFile(join(directory.agent(node.name), 'agent.pid'), identity);
    }
    void this.#watch(node, child);
    await this.#context.onStarted();
  }

  /** Ends all of them; what they wrote to the kernel goes with the namespaces. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await endProcesses(this.processes, stopGraceMs);
    this.#running.clear();
  }

  /** Resolves when every pod of the plan is programmed on its node; throws when that takes too long or an agent keeps ending. */
  async waitUntilProgrammed(
    plan: LabPlan,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<void> {
    const deadline = Date.now() + programmedWithinMs;
    let lastDone = -1;
    for (;;) {
      signal.throwIfAborted();
      const waiting = (await Promise.all([...plan.nodes.values()].map((node) => this.#waitingOn(plan, node)))).flat();
      const total = plan.pods.size;
      const done = total - waiting.filter(({ pod }) => pod !== undefined).length;
      if (done !== lastDone) onProgress(done, total);
      lastDone = done;
      const [first] = waiting;
      if (first === undefined) return;
      const hopeless = [...this.#ends].find(([, ends]) => ends >= hopelessEnds)?.[0];
      if (hopeless !== undefined) throw await this.#failure(hopeless, 'ends again and again');
      if (Date.now() > deadline) throw await this.#failure(first.node, first.reason);
      await pause(askEveryMs);
    }
  }

  /** What keeps a node from being done: the agent as a whole, or single pods. */
  async #waitingOn(
    plan: LabPlan,
    node: NodePlan,
  ): Promise<readonly { readonly node: string; readonly pod?: string; readonly reason: string }[]> {
    const report = await askAgent(this.#context.directory.agent(node.name));
    const endpoints = new Map(report?.endpoints.endpoints.map((endpoint) => [endpoint.pod, endpoint]));
    const pods = [...plan.pods.values()].filter((pod) => pod.node === node.name && !pod.hostNetwork);
    const waiting = pods
      .filter((pod) => pod.addresses.length > 0 && endpoints.get(pod.key)?.programmed !== true)
      .map((pod) => {
        const reason = endpoints.get(pod.key)?.reason ?? 'not known to the agent yet';
        return { node: node.name, pod: pod.key, reason: `has not programmed pod ${pod.key}: ${reason}` };
      });
    if (report?.status.ready === true) return waiting;
    const parts = report?.status.parts.flatMap(({ part, reason }) =>
      reason === undefined ? [] : [`${part}: ${reason}`],
    );
    return [{ node: node.name, reason: `is not ready: ${parts?.join('; ') ?? 'it does not answer'}` }, ...waiting];
  }

  async #watch(node: NodePlan, child: RunningProcess): Promise<void> {
    const { exitCode, signal } = await child.exited;
    if (this.#isStopping) return;
    this.#running.delete(node.name);
    this.#ends.set(node.name, (this.#ends.get(node.name) ?? 0) + 1);
    this.#context.logger.warn({ node: node.name, text: `exit code ${exitCode ?? signal ?? 'unknown'}` }, 'agent ended');
    await pause(restartPauseMs);
    if (!this.#isStopping) await this.start(node);
  }

  async #failure(node: string, reason: string): Promise<LabError> {
    const text = await readFile(this.#context.directory.log(`agent-${node}`), 'utf8').catch(() => '');
    const tail = text.trim().split('\n').slice(-5).join('\n');
    return new LabError(
      'failure',
      `the agent of node ${node} ${reason}${tail === '' ? '' : `; its last lines:\n${tail}`}`,
    );
  }

  #arguments(node: NodePlan): readonly string[] {
    const { options, directory, clusterCidrs } = this.#context;
    const flags: Readonly<Record<string, string>> = {
      'node-name': node.name,
      manifests: directory.cluster,
      'run-dir': directory.agent(node.name),
      'iptables-backend': options.iptables,
      'ip-families': options.ipFamilies.join(','),
      'cluster-cidrs': clusterCidrs().map(formatCidr).join(','),
      // Manifests may give pods any address, and nodes several networks.
      'local-traffic-detector': 'localPods',
    };
    const chosen = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    return [
      join(import.meta.dirname, '..', 'main.ts'),
      'agent',
      ...chosen,
      '--service-proxy',
      ...options.agentArguments,
    ];
  }
}

/** The flags say everything: a setting in our environment was meant for another agent. */
function withoutSettings(): Readonly<Record<string, undefined>> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('SLUICE_'));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}
