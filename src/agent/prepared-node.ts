/** The node's network with the kernel settings that policy depends on: looked after whenever the network is read. */
import type { NodeLinks } from '../backends/links/node-links.ts';
import type { SysctlNeeds, SysctlReport } from '../backends/links/sysctls.ts';
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Readiness } from '../telemetry/readiness.ts';
import type { NodeWatch } from './node-watch.ts';
import type { SysctlMemory } from './sysctl-memory.ts';

export interface PreparedNodeOptions {
  readonly links: Pick<NodeLinks, 'read' | 'changes' | 'setHairpin'>;
  readonly ensureSysctls: (needs: SysctlNeeds) => Promise<SysctlReport>;
  readonly memory: Pick<SysctlMemory, 'read' | 'remember'>;
  readonly families: readonly IpFamily[];
  readonly logger: Logger;
  readonly readiness: Readiness;
}

/** Name of the readiness part. */
export const sysctlPart = 'sysctls';

export class PreparedNode implements NodeWatch {
  readonly #options: PreparedNodeOptions;
  #portsWithHairpin: ReadonlySet<string> = new Set();
  /** Absent before the first reading. */
  #hasBridge: boolean | undefined;
  /** Told once, not by every look. */
  #problems: readonly string[] = [];

  constructor(options: PreparedNodeOptions) {
    this.#options = options;
  }

  changes(signal: AbortSignal): AsyncIterable<unknown> {
    return this.#options.links.changes(signal);
  }

  async read(addresses: readonly IpAddress[]): Promise<NodeFacts> {
    const facts = await this.#options.links.read(addresses);
    const bridged = [...facts.bindings.values()].filter((binding) => binding.kind === 'bridged');
    this.#hasBridge = bridged.length > 0;
    await this.#setSysctls(this.#hasBridge);
    if (bridged.length > 0) await this.#setHairpin(bridged.flatMap(({ port }) => port ?? []));
    return facts;
  }

  async checkSettings(): Promise<void> {
    if (this.#hasBridge !== undefined) await this.#setSysctls(this.#hasBridge);
  }

  async #setSysctls(bridge: boolean): Promise<void> {
    const { ensureSysctls, memory, families, logger, readiness } = this.#options;
    const { changes, problems } = await ensureSysctls({ families, bridge });
    for (const { name, before, after } of changes) logger.info({ sysctl: name, before, after }, 'sysctl was set');
    const unremembered = changes.length > 0 ? await memory.remember(changes) : undefined;
    if (unremembered !== undefined) logger.warn({ err: unremembered }, 'old values of settings were not remembered');
    for (const message of problems) {
      if (!this.#problems.includes(message)) logger.error({ message }, 'sysctl was not set');
    }
    this.#problems = problems;
    if (problems.length === 0) readiness.ready(sysctlPart);
    else readiness.unready(sysctlPart, problems.join('; '));
  }

  /** Frames of a bridge that pass iptables no longer find their way back to their own port by themselves: ours to mend where we made them pass. */
  async #setHairpin(ports: readonly string[]): Promise<void> {
    const { links, memory, logger } = this.#options;
    const fresh = ports.filter((port) => !this.#portsWithHairpin.has(port));
    this.#portsWithHairpin = new Set(ports);
    if (fresh.length === 0) return;
    const changed = Object.keys(await memory.read());
    if (!changed.some((name) => name.startsWith('net.bridge.'))) return;
    for (const port of await links.setHairpin(fresh)) logger.info({ interface: port }, 'hairpin mode was set');
  }
}
