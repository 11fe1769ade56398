/** An agent as the image runs it (the bundle, compiled) on a small cluster: from its start to the end of its first write, and what it costs with nothing to do. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeBundle } from '../scripts/bundle.ts';
import type { IptablesVariant } from '../src/backends/iptables/variant.ts';
import { manifestText } from '../src/manifests/write.ts';
import { type AgentProcess, startAgentProcess } from './agent-process.ts';
import { type Netns, withNetns } from './netns.ts';
import { benchNode } from './policy-cluster.ts';
import { cpuSecondsOf, residentMegabytes } from './process-costs.ts';
import { type BenchRow, row } from './row.ts';
import { smallCluster, smallSize, wireSmallCluster } from './small-cluster.ts';

export interface StartOptions {
  readonly starts: number;
  readonly variant: IptablesVariant;
}

/** After the last write the heap is given back, and V8 looks after what is left. */
const settleMs = 20_000;
/** As long as from one full compare to the next (`resyncSeconds`): one is in it. */
const restMs = 90_000;

export async function benchStart({ starts, variant }: StartOptions): Promise<readonly BenchRow[]> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const bench = new StartBench(directory, variant);
    await bench.prepare();
    // What it compiles is kept for the next ones, as it is in the image.
    await bench.inNewNode((agent) => Promise.resolve(agent.firstWriteMs));
    const started: Start[] = [];
    for (let index = 0; index < starts; index++) {
      started.push(
        await bench.inNewNode(({ firstWriteMs, firstWriteCpuSeconds }) =>
          Promise.resolve({ ms: firstWriteMs, cpuMs: firstWriteCpuSeconds * 1000 }),
        ),
      );
    }
    const rest = await bench.inNewNode(restOf);
    const name = variant === 'nft' ? 'agent' : `agent/${variant}`;
    return [
      row(`${name}/start-to-first-write`, 'ms', median(started.map(({ ms }) => ms))),
      row(`${name}/start-cpu`, 'ms', median(started.map(({ cpuMs }) => cpuMs))),
      row(`${name}/rest-cpu`, '%', rest.cpuPercent),
      row(`${name}/rest-memory`, 'MB', rest.megabytes),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Start {
  readonly ms: number;
  readonly cpuMs: number;
}

interface Rest {
  readonly cpuPercent: number;
  readonly megabytes: number;
}

/** Of the agent and of all programs that it has run, those that stay included. */
async function restOf({ pid }: AgentProcess): Promise<Rest> {
  await sleep(settleMs);
  const [cpu, began] = [cpuSecondsOf(pid), performance.now()];
  await sleep(restMs);
  const seconds = (performance.now() - began) / 1000;
  return { cpuPercent: ((cpuSecondsOf(pid) - cpu) / seconds) * 100, megabytes: residentMegabytes(pid) };
}

class StartBench {
  readonly #directory: string;
  readonly #variant: IptablesVariant;

  constructor(directory: string, variant: IptablesVariant) {
    this.#directory = directory;
    this.#variant = variant;
  }

  async prepare(): Promise<void> {
    await writeBundle(join(this.#directory, 'bundle'));
    await mkdir(join(this.#directory, 'manifests'));
    await writeFile(join(this.#directory, 'manifests', 'cluster.yaml'), manifestText(smallCluster()));
  }

  /** Starts an agent on a node where nothing is yet. */
  async inNewNode<Result>(body: (agent: AgentProcess) => Promise<Result>): Promise<Result> {
    return withNetns(['node', 'pods'], async ({ node, pods }) => {
      await wireSmallCluster(node, pods);
      const agent = await startAgentProcess({
        netns: node,
        nodeName: benchNode,
        source: { manifests: join(this.#directory, 'manifests') },
        runDir: join(this.#directory, 'run'),
        variant: this.#variant,
        main: join(this.#directory, 'bundle', 'sluice.mjs'),
        flags: ['--service-proxy'],
      });
      try {
        const result = await body(agent);
        await mustBeProgrammed(node, this.#variant);
        return result;
      } finally {
        await agent.stop();
      }
    });
  }
}

/** A chain for every policy and every Service, and a set that holds all pods of the node. */
async function mustBeProgrammed(node: Netns, variant: IptablesVariant): Promise<void> {
  const chains = (await node.run([`iptables-${variant}-save`])).stdout;
  const { stdout: set } = await node.run(['ipset', 'list', '-t', 'cali40programmed']);
  const found = {
    policies: chains.match(/^:cali-pi-/gm)?.length ?? 0,
    services: chains.match(/^:KUBE-SVC-/gm)?.length ?? 0,
    localPods: Number(/^Number of entries: (\d+)$/m.exec(set)?.[1]),
  };
  const { policies, services, localPods } = smallSize;
  const expected = { policies, services, localPods };
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`in the kernel: ${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`);
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
