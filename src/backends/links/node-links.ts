/** The node's own network: how its pods are reached, which addresses it has. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndpointBinding, NodeFacts } from '../../dataplane/endpoint-binding.ts';
import type { IpAddress } from '../../lib/ip.ts';
import type { Run } from '../exec.ts';
import { CommandError } from '../exec.ts';
import type { NetworkView } from './bindings.ts';
import { findBindings, findRoutes } from './bindings.ts';
import type { ForwardingEntry, Network } from './ip-json.ts';
import { networkQuestions, parseForwarding, parseLinks, parseNetwork } from './ip-json.ts';
import type { SysctlAccess } from './sysctls.ts';
import { procSysctls, readConntrackLiberal } from './sysctls.ts';
import type { WatchOptions } from './watch-links.ts';
import { watchLinks } from './watch-links.ts';

export interface NodeLinksOptions {
  readonly run: Run;
  readonly sysctls?: SysctlAccess;
  /** How often, and how long apart, to look for a pod that was just asked for its MAC. */
  readonly resolveTries?: number;
  readonly resolvePauseMs?: number;
  readonly watch?: WatchOptions;
}

/** Remembers which port each address was found at (see `findBindings`). */
export class NodeLinks {
  readonly #run: Run;
  readonly #sysctls: SysctlAccess;
  readonly #resolveTries: number;
  readonly #resolvePauseMs: number;
  readonly #watch: WatchOptions;
  #known: ReadonlyMap<IpAddress, EndpointBinding> = new Map();
  /** Those with pods behind them, when last looked; absent before that. */
  #bridges: ReadonlySet<string> | undefined;
  /** Addresses whose port was not found; they are waited for once. */
  #searched: ReadonlySet<IpAddress> = new Set();

  constructor(options: NodeLinksOptions) {
    const { run, sysctls = procSysctls, resolveTries = 10, resolvePauseMs = 20, watch = {} } = options;
    this.#run = run;
    this.#sysctls = sysctls;
    this.#resolveTries = resolveTries;
    this.#resolvePauseMs = resolvePauseMs;
    this.#watch = watch;
  }

  /** `addresses`: of this node's pods. */
  async read(addresses: readonly IpAddress[]): Promise<NodeFacts> {
    const [{ bindings, nodeAddresses }, conntrackLiberal] = await Promise.all([
      this.#readNetwork(addresses),
      readConntrackLiberal(this.#sysctls),
    ]);
    return { bindings, nodeAddresses, conntrackLiberal };
  }

  /** See `watchLinks`. */
  changes(signal: AbortSignal): AsyncIterable<void> {
    return watchLinks(signal, { isPodBridge: (device) => this.#bridges?.has(device) !== false, ...this.#watch });
  }

  async readBindings(addresses: readonly IpAddress[]): Promise<ReadonlyMap<IpAddress, EndpointBinding>> {
    return (await this.#readNetwork(addresses)).bindings;
  }

  async #readNetwork(addresses: readonly IpAddress[]): Promise<Omit<NodeFacts, 'conntrackLiberal'>> {
    let view = await this.#view(addresses);
    let bindings = findBindings(addresses, view, this.#known);
    const isNew = (address: IpAddress): boolean => !this.#searched.has(address);
    for (let tries = 0; tries < this.#resolveTries && withoutPort(bindings).some(isNew); tries += 1) {
      await this.#askForMacs(bindings);
      await sleep(this.#resolvePauseMs);
      view = await this.#view(addresses);
      bindings = findBindings(addresses, view, this.#known);
    }
    if (withoutPort(bindings).length > 0) await this.#askForMacs(bindings);
    this.#searched = new Set(withoutPort(bindings));
    this.#known = bindings;
    return { bindings, nodeAddresses: view.addresses };
  }

  /** Lets frames leave by the port they came from, for Services that lead back to their client; answers the ports it changed. */
  async setHairpin(ports: readonly string[]): Promise<readonly string[]> {
    const wanted = new Set(ports);
    const links = parseLinks((await this.#run(['ip', '-j', '-d', 'link', 'show'])).stdout);
    const changed = links.filter(({ name, master, hairpin }) => wanted.has(name) && master !== undefined && !hairpin);
    for (const { name } of changed) await this.#run(['bridge', 'link', 'set', 'dev', name, 'hairpin', 'on']);
    return changed.map(({ name }) => name);
  }

  /** By one program, and one for each bridge with pods: a start costs more than what any of them reads. */
  async #view(addresses: readonly IpAddress[]): Promise<NetworkView & Network> {
    const { stdout } = await this.#run(['ip', '-j', '-d', '-batch', '-'], { input: networkQuestions });
    const network = parseNetwork(stdout);
    const bridges = new Set<string>();
    for (const { kind, name } of findRoutes(addresses, network).values()) if (kind === 'bridge') bridges.add(name);
    this.#bridges = bridges;
    const tables = [...bridges].map(async (bridge) => [bridge, await this.#forwarding(bridge)] as const);
    return { ...network, forwarding: new Map(await Promise.all(tables)) };
  }

  async #forwarding(bridge: string): Promise<readonly ForwardingEntry[]> {
    return parseForwarding((await this.#run(['bridge', '-j', 'fdb', 'show', 'br', bridge])).stdout);
  }

  /** Makes the kernel resolve them, as a packet to them would. */
  async #askForMacs(bindings: ReadonlyMap<IpAddress, EndpointBinding>): Promise<void> {
    const lines = [...bindings].flatMap(([address, binding]) =>
      binding.kind === 'bridged' && binding.port === undefined
        ? `neigh replace ${address} dev ${binding.bridge} use\n`
        : [],
    );
    try {
      await this.#run(['ip', '-force', '-batch', '-'], { input: lines.join('') });
    } catch (error) {
      // A bridge that has just gone is no failure of the others' lines.
      if (!(error instanceof CommandError) || error.isMissing) throw error;
    }
  }
}

function withoutPort(bindings: ReadonlyMap<IpAddress, EndpointBinding>): readonly IpAddress[] {
  return [...bindings].flatMap(([address, binding]) =>
    binding.kind === 'bridged' && binding.port === undefined ? [address] : [],
  );
}
