/** A real agent, started as anybody would start it, in a network namespace; what it says tells when a change is in the kernel. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { streamLines } from '../src/backends/exec.ts';
import type { IptablesVariant } from '../src/backends/iptables/variant.ts';
import { askAgent } from '../src/lab/ask-agent.ts';
import type { Netns } from './netns.ts';
import { cpuSecondsOf } from './process-costs.ts';

export interface AgentProcess {
  readonly pid: number;
  /** From the start of the process to the end of its first write. */
  readonly firstWriteMs: number;
  /** Up to then, of itself and of the programs that it ran; in ticks of 10 ms. */
  readonly firstWriteCpuSeconds: number;
  /**
   * When the next update is in the kernel. The agent logs a line after the last restore has ended; by our own clock, so with the
   * way of that line through a pipe added (below 1 ms).
   */
  nextApplied(): Promise<number>;
  residentMegabytes(): Promise<number>;
  /** Of itself and of the programs that it ran; in ticks of 10 ms. */
  cpuSeconds(): Promise<number>;
  stop(): Promise<void>;
}

export interface AgentPlace {
  readonly netns: Netns;
  readonly nodeName: string;
  /** Where its cluster comes from. */
  readonly source: { readonly manifests: string } | { readonly kubeconfig: string };
  readonly runDir: string;
  /** Default nft. */
  readonly variant?: IptablesVariant;
  /** Entry of another build. Default: of the sources. */
  readonly main?: string;
  readonly flags?: readonly string[];
}

const ownMain = join(import.meta.dirname, '..', 'src', 'main.ts');
const withinMs = 60_000;

export async function startAgentProcess(place: AgentPlace): Promise<AgentProcess> {
  const { netns, nodeName, source, runDir, variant = 'nft', main = ownMain, flags: more = [] } = place;
  const settings = { ...source, 'node-name': nodeName, 'run-dir': runDir, 'iptables-backend': variant };
  const flags = Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, value]);
  const abort = new AbortController();
  const lines = new AppliedLines();
  const started = performance.now();
  const ended = lines.read(
    streamLines(netns.inside([process.execPath, main, 'agent', ...flags, ...more]), abort.signal),
  );
  const stop = async (): Promise<void> => {
    abort.abort();
    await ended;
  };
  const first = await firstWrite(lines, runDir).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const { pid, firstWriteAt, firstWriteCpuSeconds } = first;
  return {
    pid,
    firstWriteMs: firstWriteAt - started,
    firstWriteCpuSeconds,
    nextApplied: () => lines.next(),
    residentMegabytes: async () => residentKilobytes(await readFile(`/proc/${pid}/status`, 'utf8')) / 1e3,
    cpuSeconds: async () => cpuTicks(await readFile(`/proc/${pid}/stat`, 'utf8')) / 100,
    stop,
  };
}

type FirstWrite = Pick<AgentProcess, 'pid' | 'firstWriteCpuSeconds'> & { readonly firstWriteAt: number };

async function firstWrite(lines: AppliedLines, runDir: string): Promise<FirstWrite> {
  const firstWriteAt = await lines.next();
  // On a machine with much else to do, the answer of an agent that has just begun takes seconds.
  for (let tries = 0; tries < 10; tries += 1) {
    const pid = (await askAgent(runDir))?.status.pid;
    if (pid !== undefined) return { pid, firstWriteAt, firstWriteCpuSeconds: cpuSecondsOf(pid) };
  }
  throw new Error('the agent does not answer');
}

class AppliedLines {
  #waiting: PromiseWithResolvers<number> | undefined;
  #last = '';

  /** Only one call at a time. */
  async next(): Promise<number> {
    this.#waiting = Promise.withResolvers();
    const timer = setTimeout(() => this.#fail(`nothing was applied within ${withinMs / 1000} s`), withinMs);
    try {
      return await this.#waiting.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async read(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      const now = performance.now();
      this.#last = line;
      if (/"level":"(warn|error)"/.test(line)) this.#fail('the agent is not content');
      else if (line.includes('"dataplane applied"')) this.#waiting?.resolve(now);
    }
    this.#fail('the agent ended');
  }

  #fail(what: string): void {
    this.#waiting?.reject(new Error(`${what}; its last line: ${this.#last}`));
  }
}

function residentKilobytes(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1.024;
}

/** Fields 14 to 17: its own and its children's, user and system. */
function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}
