/** The two nodes: the same world twice, kube-proxy in one and Sluice's agent in the other, both at the same API server. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from '../../src/backends/exec.ts';
import { run } from '../../src/backends/exec.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import { binary } from '../build/build.ts';
import type { Daemon } from '../cluster/daemon.ts';
import { endOfLog, startDaemon } from '../cluster/daemon.ts';
import type { Estate } from '../cluster/estate.ts';
import { until } from '../cluster/until.ts';
import type { TestCluster } from './api-objects.ts';
import { showsMarker } from './cluster-objects.ts';
import type { Pair } from './compare-outcomes.ts';
import type { Configuration } from './configurations.ts';
import type { Interfaces } from './outcome.ts';
import type { SavedRules } from './read-rules.ts';
import { families, nodeName } from './topology.ts';
import type { World } from './world.ts';
import { bridgeName, podInterface, uplinkName } from './world.ts';

export interface NodesOptions {
  readonly estate: Estate;
  /** Wired as `configuration` wants it, and joined to the API server's network. */
  readonly worlds: Pair<World>;
  readonly configuration: Configuration;
  readonly kubeconfig: string;
}

const mainFile = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
/** A sync of kube-proxy takes part of a second; machines that do something else besides take longer. */
const patienceMs = 120_000;
let count = 0;

export class Nodes {
  readonly worlds: Pair<World>;
  readonly configuration: Configuration;
  readonly interfaces: Interfaces;
  readonly sluice: Daemon;
  readonly #kubeProxy: Daemon;
  readonly #runDirectory: string;

  private constructor(worlds: Pair<World>, configuration: Configuration, daemons: Pair<Daemon>, runDirectory: string) {
    this.worlds = worlds;
    this.configuration = configuration;
    this.#kubeProxy = daemons.kubeProxy;
    this.sluice = daemons.sluice;
    this.#runDirectory = runDirectory;
    // Packets of pods on a bridge come in by the bridge.
    const ofPod = configuration.wiring === 'bridge' ? () => bridgeName : podInterface;
    this.interfaces = { ofPod, uplink: uplinkName };
  }

  /** Both started; `sluiceFlags` are added to Sluice's. */
  static async up(options: NodesOptions, sluiceFlags: readonly string[] = []): Promise<Nodes> {
    const { estate, worlds, configuration } = options;
    count += 1;
    const folder = join(estate.folder, `nodes-${count}`);
    mkdirSync(folder, { recursive: true });
    const runDirectory = join(folder, 'run');
    const agent = agentArguments(options, runDirectory, sluiceFlags);
    const daemons = {
      kubeProxy: start(options, worlds.kubeProxy, kubeProxyArguments(options, folder), join(folder, 'kube-proxy.log')),
      sluice: start(options, worlds.sluice, agent, join(folder, 'sluice.log')),
    };
    return new Nodes(worlds, configuration, daemons, runDirectory);
  }

  /** Waits until both have programmed `cluster`, and answers what is in their kernels then. */
  async settle(cluster: TestCluster, marker: string): Promise<Pair<SavedRules>> {
    const wanted = { cluster, marker };
    const [kubeProxy, sluice] = await Promise.all([
      this.#settled(wanted, 'kubeProxy', async () => true),
      this.#settled(wanted, 'sluice', async () => this.#isApplied()),
    ]);
    return { kubeProxy, sluice };
  }

  async saved(side: keyof Pair<World>): Promise<SavedRules> {
    const { node } = this.worlds[side];
    const save = async (program: string): Promise<string> =>
      (await run(['nsenter', `--net=/run/netns/${node}`, program], { timeoutMs: 30_000 })).stdout;
    return { ipv4: await save('iptables-save'), ipv6: await save('ip6tables-save') };
  }

  /** Both ended, and their rules taken away: the worlds are as they were. */
  async down(): Promise<void> {
    await Promise.all([this.sluice.stop(), this.#kubeProxy.stop()]);
    for (const { node } of [this.worlds.kubeProxy, this.worlds.sluice]) {
      for (const argv of [
        ['nft', 'flush', 'ruleset'],
        ['ipset', 'destroy'],
        ['conntrack', '-F'],
      ] as const) {
        await run(['ip', 'netns', 'exec', node, ...argv]);
      }
      await run(['ip', 'netns', 'exec', node, 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=0']);
    }
  }

  async #settled(
    { cluster, marker }: { readonly cluster: TestCluster; readonly marker: string },
    side: keyof Pair<World>,
    isReady: () => Promise<boolean>,
  ): Promise<SavedRules> {
    let saved: SavedRules | undefined;
    const daemon = side === 'sluice' ? this.sluice : this.#kubeProxy;
    const look = async (): Promise<boolean> => {
      const seen = await this.saved(side);
      if (!families.every((family) => showsMarker(cluster, marker, seen[family])) || !(await isReady())) return false;
      // What was written between the two looks is in the second.
      saved = await this.saved(side);
      return true;
    };
    try {
      await until(`${side} programs the cluster of seed ${cluster.seed}`, look, {
        timeoutMs: patienceMs,
        everyMs: 50,
        hopeless: () => (daemon.isRunning() ? undefined : 'it has ended'),
      });
    } catch (error) {
      // The log goes with everything else.
      throw new Error(`${String(error)}; its log ends:\n${endOfLog(daemon.log)}`, { cause: error });
    }
    if (saved === undefined) throw new Error('settled without a look');
    return saved;
  }

  /** All that the agent knows is in its kernel, and nothing else. */
  async #isApplied(): Promise<boolean> {
    const status = (await askAgent(this.#runDirectory))?.status;
    if (status === undefined || status.leftBehind) return false;
    return status.ready && status.revision === status.appliedRevision;
  }
}

function start({ estate }: NodesOptions, world: World, argv: Argv, log: string): Daemon {
  const [program] = argv;
  return startDaemon(estate, ['ip', 'netns', 'exec', world.node, ...argv], { name: program, log });
}

function kubeProxyArguments({ configuration, kubeconfig }: NodesOptions, folder: string): Argv {
  const { iptables, ...settings } = configuration.kubeProxy;
  const file = join(folder, 'kube-proxy.yaml');
  const config = {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    hostnameOverride: nodeName,
    clientConnection: { kubeconfig, qps: 500, burst: 1000 },
    // What a namespace may not set, and what nobody here measures.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    // A sync that failed is tried again after the period, which is 30 s by default.
    iptables: { minSyncPeriod: '0s', syncPeriod: '10s', ...iptables },
    ...settings,
  };
  writeFileSync(file, JSON.stringify(config));
  return [binary('kube-proxy'), `--config=${file}`, '--v=2'];
}

function agentArguments(
  { configuration, kubeconfig }: NodesOptions,
  runDirectory: string,
  flags: readonly string[],
): Argv {
  const settings = ['--kubeconfig', kubeconfig, '--node-name', nodeName, '--run-dir', runDirectory];
  const all = [...settings, '--iptables-backend', 'nft', '--service-proxy', ...configuration.sluice, ...flags];
  return [process.execPath, mainFile, 'agent', ...all];
}
