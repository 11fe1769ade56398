/** One lab as its own process runs it: builds what the manifests say, follows them, and takes everything away at the end. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ObjectChange, SourceBatch } from '../cluster/state.ts';
import { ClusterStore } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { formatDiagnostic } from '../lib/diagnostic.ts';
import type { Cidr } from '../lib/ip.ts';
import { cidrContains } from '../lib/ip.ts';
import type { ClusterDefaults } from '../manifests/defaults.ts';
import { clusterDefaults } from '../manifests/defaults.ts';
import { ManifestSource } from '../manifests/source.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Agents } from './agents.ts';
import { ClusterFiles } from './cluster-files.ts';
import { EtcFiles } from './etc-files.ts';
import { refuseOverlap } from './machine.ts';
import { buildNetwork, linkEtc } from './network.ts';
import type { LabOptions } from './options.ts';
import { outsideNetworks } from './options.ts';
import type { LabPlan } from './plan.ts';
import { OuterRoutes } from './outer-routes.ts';
import { outsideServer, planLab } from './plan.ts';
import { LabPods } from './pods.ts';
import type { LabState, ProcessIdentity, RunDirectory } from './run-directory.ts';
import { identityOf, runDirectory, writeState } from './run-directory.ts';
import { PodServers } from './servers.ts';

export interface LabProgress {
  readonly step: 'nodes' | 'pods' | 'agents' | 'programmed';
  readonly done: number;
  readonly total: number;
}

export interface LabControl {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly onProgress: (progress: LabProgress) => void;
  /** Called once, when every pod is programmed. */
  readonly onReady: (state: LabState) => void;
}

/** A lab from its first snapshot to `stop`. The run directory is claimed already. */
export class Lab {
  readonly #options: LabOptions;
  readonly #control: LabControl;
  readonly #directory: RunDirectory;
  readonly #defaults: ClusterDefaults;
  readonly #store = new ClusterStore();
  readonly #files: ClusterFiles;
  readonly #etc: EtcFiles;
  readonly #servers: PodServers;
  readonly #pods: LabPods;
  readonly #agents: Agents;
  readonly #outerRoutes = new OuterRoutes();
  #plan: LabPlan | undefined;
  #diagnostics: readonly Diagnostic[] = [];
  #identity: ProcessIdentity | undefined;
  #phase: LabState['phase'] = 'starting';
  #outsideProblems: readonly string[] = [];

  constructor(options: LabOptions, control: LabControl) {
    const { logger } = control;
    this.#options = options;
    this.#control = control;
    this.#directory = runDirectory(options.name);
    this.#defaults = clusterDefaults({
      ipFamilies: options.ipFamilies,
      ...(options.nodes === undefined ? {} : { nodeCount: options.nodes }),
    });
    this.#files = new ClusterFiles(this.#directory);
    this.#etc = new EtcFiles(this.#directory.etc, options.ipFamilies);
    this.#servers = new PodServers(join(this.#directory.path, 'compiled'));
    this.#pods = new LabPods({
      servers: this.#servers,
      etcOf: (namespace) => this.#etc.directoryOf(namespace),
      logger,
    });
    this.#agents = new Agents({
      options,
      directory: this.#directory,
      clusterCidrs: () => this.#clusterCidrs(),
      logger,
      onStarted: () => this.#record(),
    });
  }

  /** Builds, then follows until the signal aborts. */
  async run(): Promise<void> {
    const { signal } = this.#control;
    this.#identity = await identityOf(process.pid);
    const { cluster, temporary, etc } = this.#directory;
    for (const directory of [cluster, temporary, etc, join(this.#directory.path, 'log')]) {
      await mkdir(directory, { recursive: true });
    }
    const source = new ManifestSource(this.#options.directory, this.#defaults);
    for await (const batch of source.watch(signal)) {
      const changes = this.#take(batch);
      if (!batch.synced) continue;
      if (this.#plan === undefined) await this.#build();
      else await this.#follow(changes, this.#plan);
    }
  }

  /** Ends what this process runs; namespaces and files are removed by who called. */
  async stop(): Promise<void> {
    await this.#agents.stop();
    this.#servers.closeAll();
  }

  #take(batch: SourceBatch): readonly ObjectChange[] {
    if (batch.diagnostics !== undefined) this.#diagnostics = batch.diagnostics;
    return this.#store.apply(batch.changes);
  }

  async #build(): Promise<void> {
    const { onProgress, onReady, signal } = this.#control;
    const plan = planLab(this.#store, this.#options);
    this.#plan = plan;
    await refuseOverlap(this.#networks(plan));
    await this.#record();
    onProgress({ step: 'nodes', done: 0, total: plan.nodes.size });
    await buildNetwork(plan);
    await this.#outerRoutes.follow(this.#store, plan);
    await this.#etc.write(this.#store);
    const machines = [...plan.nodes.values(), plan.outside, plan.underlay];
    for (const { netns } of machines) await linkEtc(netns, this.#etc.directoryOf(undefined));
    this.#outsideProblems = await this.#servers.open(outsideServer(plan));
    onProgress({ step: 'nodes', done: plan.nodes.size, total: plan.nodes.size });
    signal.throwIfAborted();
    await this.#pods.follow(plan, (done, total) => onProgress({ step: 'pods', done, total }));
    await this.#files.write([...allObjects(this.#store)]);
    signal.throwIfAborted();
    if (this.#options.agents) await this.#startAgents(plan);
    this.#phase = 'ready';
    onReady(await this.#record());
  }

  async #startAgents(plan: LabPlan): Promise<void> {
    const { onProgress, signal } = this.#control;
    const nodes = [...plan.nodes.values()];
    onProgress({ step: 'agents', done: 0, total: nodes.length });
    await Promise.all(nodes.map((node) => this.#agents.start(node)));
    const wired = { ...plan, pods: this.#pods.wired };
    await this.#agents.waitUntilProgrammed(wired, signal, (done, total) =>
      onProgress({ step: 'programmed', done, total }),
    );
  }

  /** Policies and Services first: a pod must not be there before what restricts it. */
  async #follow(changes: readonly ObjectChange[], before: LabPlan): Promise<void> {
    const { logger } = this.#control;
    const plan = planLab(this.#store, this.#options, before);
    this.#plan = plan;
    try {
      const present = changes.flatMap(({ after }) => after ?? []);
      await this.#etc.write(this.#store);
      await this.#files.write(present.filter(({ kind }) => kind !== 'Pod'));
      for (const { kind, key, after } of changes) if (after === undefined) await this.#files.remove(kind, key);
      await this.#pods.follow(plan);
      await this.#outerRoutes.follow(this.#store, plan);
      await this.#files.write(present.filter(({ kind }) => kind === 'Pod'));
      await this.#record();
      if (changes.length > 0) logger.info({ changes: changes.length }, 'manifests followed');
    } catch (error) {
      // The next change brings everything up to date again: what is there is compared with what should be.
      logger.error({ err: error }, 'manifests were not followed');
    }
  }

  async #record(): Promise<LabState> {
    const plan = this.#plan;
    if (plan === undefined || this.#identity === undefined) throw new Error('a lab is recorded once it is planned');
    const state: LabState = {
      name: this.#options.name,
      directory: this.#options.directory,
      cni: plan.cni,
      ipFamilies: plan.families,
      lab: this.#identity,
      phase: this.#phase,
      processes: this.#agents.processes,
      nodes: [...plan.nodes.values()].map(({ name, netns, addresses }) => ({ name, netns, addresses })),
      outside: plan.outside,
      pods: [...plan.pods.values()].map(({ key, node, netns, addresses, deployment }) => ({
        key,
        node,
        netns,
        addresses,
        ...(deployment === undefined ? {} : { deployment }),
      })),
      messages: [
        ...[...this.#diagnostics, ...plan.diagnostics].map(formatDiagnostic),
        ...this.#outsideProblems,
        ...this.#pods.problems,
      ],
    };
    if (!isDeepStrictEqual(state, this.#recorded)) await writeState(state);
    this.#recorded = state;
    return state;
  }
  #recorded: LabState | undefined;

  #networks(plan: LabPlan): readonly Cidr[] {
    const { ipFamilies } = this.#options;
    const { podCidr, serviceCidr, underlay } = this.#defaults;
    return [
      ...ipFamilies.flatMap((family) => [
        podCidr[family],
        serviceCidr[family],
        underlay[family],
        outsideNetworks[family],
      ]),
      ...[...plan.nodes.values()].flatMap((node) => node.podCidrs),
    ];
  }

  /** The range that pods get addresses from, and the CIDRs that Nodes state outside of it. */
  #clusterCidrs(): readonly Cidr[] {
    const ranges = this.#options.ipFamilies.map((family) => this.#defaults.podCidr[family]);
    const stated = [...(this.#plan?.nodes.values() ?? [])].flatMap((node) => node.podCidrs);
    return [...ranges, ...stated.filter((cidr) => !ranges.some((range) => cidrContains(range, cidr.address)))];
  }
}

function* allObjects(store: ClusterStore) {
  const { namespaces, nodes, serviceCidrs, networkPolicies, services, endpointSlices, pods } = store;
  const indexes = [namespaces, nodes, serviceCidrs, networkPolicies, services, endpointSlices, pods];
  for (const index of indexes) yield* index.values();
}
