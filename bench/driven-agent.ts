/** The real agent over the real kernel, with the cluster in the bench's hands: changes go in here, and it tells when each is in the kernel. */
import { cpus } from 'node:os';
import { Agent, type AgentParts, readinessParts } from '../src/agent/agent.ts';
import { compileOptions } from '../src/agent/compile-options.ts';
import { countingRun } from '../src/agent/counting-run.ts';
import { KernelDriftWatch } from '../src/agent/drift-watch.ts';
import { FrontendMemory } from '../src/agent/frontend-memory.ts';
import { shrinkHeapWhenCalm } from '../src/agent/heap.ts';
import { ServiceKeeper } from '../src/agent/service-keeper.ts';
import { SysctlMemory } from '../src/agent/sysctl-memory.ts';
import { Conntrack } from '../src/backends/conntrack/conntrack.ts';
import { converse, run } from '../src/backends/exec.ts';
import { OwnProcesses } from '../src/backends/iptables/rule-events.ts';
import type { IptablesVariant } from '../src/backends/iptables/variant.ts';
import { KernelBackend } from '../src/backends/kernel-backend.ts';
import { KernelWriter } from '../src/backends/kernel-writer.ts';
import { NodeLinks } from '../src/backends/links/node-links.ts';
import { ensureSysctls } from '../src/backends/links/sysctls.ts';
import type { ClusterChange, ClusterSource, SourceBatch } from '../src/cluster/state.ts';
import type { Config } from '../src/config/schema.ts';
import { createLogger, type Logger } from '../src/telemetry/logger.ts';
import { createMetrics } from '../src/telemetry/metrics.ts';
import { Readiness } from '../src/telemetry/readiness.ts';
import { systemClock } from '../src/telemetry/system-clock.ts';

export interface DrivenAgent {
  /** Delivers a batch; resolves, with the milliseconds it took, when all of it is in the kernel. */
  apply(changes: readonly ClusterChange[]): Promise<number>;
  stop(): Promise<void>;
}

export function startDrivenAgent(config: Config, nodeName: string, variant: IptablesVariant): DrivenAgent {
  const source = new DrivenSource();
  const applied = new AppliedLines();
  const agent = new Agent(partsOf({ config, nodeName, variant }, source, createLogger('info', applied)));
  const abort = new AbortController();
  const ended = agent.run(abort.signal);
  void shrinkHeapWhenCalm(agent.kernel, abort.signal);
  return {
    async apply(changes) {
      const isApplied = applied.next();
      const started = performance.now();
      source.deliver({ changes, synced: true });
      await Promise.race([isApplied, ended]);
      const took = performance.now() - started;
      const { lastFailure, kernel } = agent;
      if (lastFailure !== undefined) throw new Error(`the agent failed: ${lastFailure.message}`);
      if (kernel.driftRepairs > 0) throw new Error(`the agent repaired what nobody had changed: ${applied.last}`);
      return took;
    },
    async stop() {
      abort.abort();
      await ended;
    },
  };
}

interface AgentChoice {
  readonly config: Config;
  readonly nodeName: string;
  readonly variant: IptablesVariant;
}

/** As `sluice agent` puts them together (agent/run-agent.ts), the source and what listens aside. */
function partsOf({ config, nodeName, variant }: AgentChoice, source: ClusterSource, logger: Logger): AgentParts {
  const metrics = createMetrics();
  const own = new OwnProcesses();
  const { ipFamilies: families, runDir } = config;
  const ownership = { services: config.serviceProxy };
  const backend = new KernelBackend({
    run: own.remembering(countingRun(run, metrics)),
    converse,
    onTransaction: ({ pid }) => own.add(pid),
    variant,
    families,
    ownership,
  });
  const common = { clock: systemClock, logger, metrics };
  return {
    ...common,
    nodeName,
    source,
    node: new NodeLinks({ run }),
    writer: new KernelWriter({ backend }),
    compileOptions: (state, facts) => compileOptions(config, nodeName, state, facts),
    services: new ServiceKeeper({
      ...common,
      conntrack: new Conntrack(run),
      families,
      cpus: cpus().length,
      frontendMemory: new FrontendMemory(runDir),
      ensureSysctls,
      memory: new SysctlMemory(runDir),
    }),
    resyncSeconds: config.resyncSeconds,
    drift: new KernelDriftWatch({ backend, variant, ownership, own, clock: systemClock, logger }),
    driftCheckSeconds: config.driftCheckSeconds,
    now: () => new Date(),
    readiness: new Readiness(readinessParts),
  };
}

class DrivenSource implements ClusterSource {
  readonly #batches: SourceBatch[] = [];
  #wake: () => void = () => undefined;

  deliver(batch: SourceBatch): void {
    this.#batches.push(batch);
    this.#wake();
  }

  async *watch(signal: AbortSignal): AsyncGenerator<SourceBatch, void, void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const next = this.#batches.shift();
      if (next !== undefined) yield next;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** Where the agent's log goes: its line after the last restore of an update ends a wait. */
class AppliedLines {
  last = '';
  #done: () => void = () => undefined;

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  write(line: string): void {
    this.last = line;
    if (line.includes('"dataplane applied"')) this.#done();
  }
}
