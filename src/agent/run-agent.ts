/** The composition root: everything is made here, by plain constructor calls. */
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { Conntrack } from '../backends/conntrack/conntrack.ts';
import { ConversationTable } from '../backends/conntrack/conversations.ts';
import { type CommandError, converse, run } from '../backends/exec.ts';
import { OwnProcesses } from '../backends/iptables/rule-events.ts';
import { detectVariant, readProc } from '../backends/iptables/variant.ts';
import type { IptablesVariant } from '../backends/iptables/variant.ts';
import { KernelBackend } from '../backends/kernel-backend.ts';
import { KernelWriter } from '../backends/kernel-writer.ts';
import { readShortFile } from '../backends/short-file.ts';
import { lackedPrivilege } from '../backends/privilege.ts';
import { NodeLinks } from '../backends/links/node-links.ts';
import { ensureSysctls } from '../backends/links/sysctls.ts';
import type { Config } from '../config/schema.ts';
import { apiApp, healthApp, proxyHealthApp, proxyModeApp } from '../server/app.ts';
import type { AgentView } from '../server/app.ts';
import type { Listener } from '../server/listen.ts';
import { listenOnPort, listenOnSocket } from '../server/listen.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { Logger } from '../telemetry/logger.ts';
import { collectProcessMetrics, createMetrics } from '../telemetry/metrics.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Readiness } from '../telemetry/readiness.ts';
import { systemClock } from '../telemetry/system-clock.ts';
import { sluiceVersion } from '../telemetry/version.ts';
import type { AgentParts } from './agent.ts';
import { Agent, readinessParts } from './agent.ts';
import type { AgentIdentity } from './agent-view.ts';
import { LiveAgentView } from './agent-view.ts';
import { beginLoading, openSource } from './cluster-source.ts';
import { compileOptions } from './compile-options.ts';
import { countingRun } from './counting-run.ts';
import { KernelDriftWatch } from './drift-watch.ts';
import { MachineError } from './failure.ts';
import { isFreshNode } from './fresh-node.ts';
import { FrontendMemory } from './frontend-memory.ts';
import { shrinkHeapWhenCalm } from './heap.ts';
import { MachineCheck } from './machine-check.ts';
import { felixRefusal, findFelix } from './other-felix.ts';
import { findKubeProxy, kubeProxyRefusal } from './other-proxy.ts';
import { PreparedNode, sysctlPart } from './prepared-node.ts';
import { ServiceKeeper } from './service-keeper.ts';
import { SysctlMemory } from './sysctl-memory.ts';

export interface AgentSettings {
  readonly config: Config;
  readonly nodeName: string;
  /** Of the process: what kubelet tells a pod of its cluster. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
}

/** Runs until `signal` aborts; what is in the kernel stays there. */
export async function runAgent(settings: AgentSettings, signal: AbortSignal): Promise<void> {
  const { config, nodeName, logger } = settings;
  beginLoading(config);
  const [kubeProxy, variant] = await Promise.all([
    config.serviceProxy ? findKubeProxy() : undefined,
    pinVariant(config, logger),
  ]);
  if (kubeProxy !== undefined) throw new MachineError(kubeProxyRefusal(kubeProxy));
  const felix = await findFelix({ run, variant });
  if (felix !== undefined) throw new MachineError(felixRefusal(felix));
  const { agent, view, machine } = await assemble(settings, variant);
  const lacked = lackedPrivilege();
  if (lacked !== undefined)
    throw new MachineError(`the agent needs ${lacked}: it writes to the kernel's packet filter`);
  const listeners = await listenOnAll(config, view);
  try {
    machine.start();
    logger.info({ version: sluiceVersion(), node: nodeName, backend: variant }, 'agent started');
    const calm = new AbortController();
    void shrinkHeapWhenCalm(agent.kernel, AbortSignal.any([signal, calm.signal]));
    await agent.run(signal).finally(() => calm.abort());
    logger.info({ node: nodeName }, 'agent stopped; its rules stay');
  } finally {
    await Promise.all(listeners.map((listener) => listener.close()));
  }
}

async function pinVariant(config: Config, logger: Logger): Promise<IptablesVariant> {
  const { variant, mixed } = await detectVariant({ run, readProc }, config.iptablesBackend);
  if (mixed !== undefined)
    logger.warn({ part: 'kernel', backend: variant, message: mixed }, 'iptables variants were mixed');
  return variant;
}

interface Assembled {
  readonly agent: Agent;
  readonly view: AgentView;
  readonly machine: MachineCheck;
}

async function assemble(
  { config, nodeName, environment, logger }: AgentSettings,
  variant: IptablesVariant,
): Promise<Assembled> {
  const metrics = createMetrics();
  collectProcessMetrics(metrics.registry);
  const readiness = new Readiness([...readinessParts, sysctlPart]);
  const families = config.ipFamilies;
  const own = new OwnProcesses();
  const ownership = { services: config.serviceProxy };
  const backend = new KernelBackend({
    run: own.remembering(countingRun(run, metrics)),
    converse,
    onTransaction: ({ pid, program }) => {
      own.add(pid);
      metrics.restoreCalls.inc({ program });
    },
    variant,
    families,
    ownership,
  });
  const { serviceProxy: services, natOutgoing } = config;
  const attempt = (family: IpFamily, text: string) => backend.attempt(family, text);
  const machine = new MachineCheck({ run, variant, families, services, natOutgoing, attempt });
  const freshness = () => isFreshNode(backend, families);
  const opened = await openSource({ config, nodeName, environment, logger, metrics, isFreshNode: freshness });
  // One for all who set something: there is one file.
  const memory = new SysctlMemory(config.runDir);
  const agent = new Agent({
    nodeName,
    source: opened.source,
    ...(opened.reporter === undefined ? {} : { reporter: opened.reporter }),
    ...(opened.repairs === undefined ? {} : { repairs: opened.repairs }),
    node: new PreparedNode({
      links: new NodeLinks({ run }),
      ensureSysctls,
      memory,
      families,
      logger: logger.child({ part: 'node' }),
      readiness,
    }),
    writer: new KernelWriter({ backend, onFailedTry: (error) => tellFailedTry(error, { logger, readiness }) }),
    ...cutParts(config),
    compileOptions: (state, facts) => compileOptions(config, nodeName, state, facts),
    ...(config.serviceProxy ? { services: serviceKeeper(config, memory, { logger, metrics }) } : {}),
    checkMachine: () => machine.result,
    onWritten: () => machine.readVersions(),
    resyncSeconds: config.resyncSeconds,
    drift: new KernelDriftWatch({ backend, variant, ownership, own, clock: systemClock, logger }),
    driftCheckSeconds: config.driftCheckSeconds,
    clock: systemClock,
    now: () => new Date(),
    logger,
    metrics,
    readiness,
  });
  const identity = identityOf(config, nodeName, opened.name, variant);
  const versions = () => machine.versions;
  return { agent, machine, view: new LiveAgentView({ agent, readiness, metrics, identity, versions }) };
}

/** A node that has no more to tell than that a lock is held, and waits for it, is not as it should be. */
function tellFailedTry(
  error: CommandError,
  { logger, readiness }: { readonly logger: Logger; readonly readiness: Readiness },
): void {
  logger.warn({ part: 'kernel', err: error }, 'a write failed and was tried again');
  if (error.isLockContention)
    readiness.unready('kernel', 'another program holds the xtables lock; the next write waits for it');
}

function cutParts({ established }: Config): Pick<AgentParts, 'readConversations'> {
  const table = new ConversationTable(run, readShortFile);
  return established === 'cut' ? { readConversations: (touching) => table.read(touching) } : {};
}

function identityOf(config: Config, node: string, source: string, iptablesBackend: IptablesVariant): AgentIdentity {
  return {
    version: sluiceVersion(),
    node,
    pid: process.pid,
    startedAt: new Date().toISOString(),
    source,
    ipFamilies: config.ipFamilies,
    iptablesBackend,
  };
}

function serviceKeeper(
  { ipFamilies: families, runDir }: Config,
  memory: SysctlMemory,
  telemetry: { readonly logger: Logger; readonly metrics: Metrics },
): ServiceKeeper {
  return new ServiceKeeper({
    conntrack: new Conntrack(run),
    families,
    cpus: cpus().length,
    frontendMemory: new FrontendMemory(runDir),
    ensureSysctls,
    memory,
    clock: systemClock,
    ...telemetry,
  });
}

async function listenInRunDirectory(runDir: string, view: AgentView): Promise<Listener> {
  try {
    return await listenOnSocket(apiApp(view), join(runDir, 'sluice.sock'));
  } catch (error) {
    // Of a system call: the directory cannot be made, or not be written.
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    const expected = 'expected a directory that the agent may make and write (runDir)';
    throw new MachineError(`${runDir}: ${error.message}, ${expected}`, { cause: error });
  }
}

/** The socket first: it is what a second agent on this node is refused by. */
async function listenOnAll(config: Config, view: AgentView): Promise<readonly Listener[]> {
  const listeners = [await listenInRunDirectory(config.runDir, view)];
  try {
    for (const { app, port, host } of placesOf(config, view)) {
      if (port !== 0) listeners.push(await listenOnPort(app, port, host));
    }
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    throw error;
  }
}

interface Place {
  readonly app: Hono;
  /** 0: not wanted. */
  readonly port: number;
  readonly host: string | undefined;
}

function placesOf(config: Config, view: AgentView): readonly Place[] {
  const { apiPort, httpPort, httpAddress, serviceProxy, proxyHealthPort, proxyModePort } = config;
  const loopback = '127.0.0.1';
  const own = [
    { app: apiApp(view), port: apiPort, host: loopback },
    { app: healthApp(view), port: httpPort, host: httpAddress },
  ];
  if (!serviceProxy) return own;
  // Where kube-proxy is asked, whoever takes its place is asked too; the health port may have been given to ours already.
  const health =
    proxyHealthPort === httpPort ? [] : [{ app: proxyHealthApp(view), port: proxyHealthPort, host: undefined }];
  return [...own, ...health, { app: proxyModeApp(), port: proxyModePort, host: loopback }];
}
