/**
 * Kernel settings of Services (kube-proxy.md 2.8), set once the chains are in: conntrack's timeouts and its room, and route_localnet for
 * nodePorts on 127.0.0.1, which KUBE-FIREWALL then keeps from neighbours.
 */
import type { SysctlNeeds, SysctlReport } from '../backends/links/sysctls.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpFamily } from '../lib/ip.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import { answersOnLocalhost } from '../service/nodeport-addresses.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Reconciler } from './reconciler.ts';
import type { SysctlMemory } from './sysctl-memory.ts';

export interface ServiceSysctlsOptions {
  readonly families: readonly IpFamily[];
  /** Of the machine. */
  readonly cpus: number;
  readonly ensureSysctls: (needs: SysctlNeeds) => Promise<SysctlReport>;
  readonly memory: Pick<SysctlMemory, 'remember'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ServiceSysctls {
  readonly #options: ServiceSysctlsOptions;
  readonly #rounds: Reconciler;
  #hasWritten = false;
  #localnet = false;
  #problems: readonly string[] = [];

  constructor(options: ServiceSysctlsOptions) {
    this.#options = options;
    this.#rounds = new Reconciler({
      clock: options.clock,
      collectMs: 0,
      minBackoffMs: 1000,
      maxBackoffMs: 60_000,
      reconcile: () => this.#ensure(),
      onFailure: throwUnlessUnset,
    });
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#problems.map((problem) => ({
      severity: 'warning',
      object: '',
      message: `Services are served, but not wholly as kube-proxy does: ${problem}`,
    }));
  }

  /** The chains are in the kernel. */
  written(node: NodePortOptions): void {
    this.#hasWritten = true;
    this.#localnet = this.#options.families.includes('ipv4') && answersOnLocalhost(node);
    this.#rounds.markDirty();
  }

  /** Whether somebody else has changed them. */
  check(): void {
    if (this.#hasWritten) this.#rounds.markDirty();
  }

  /** Until `signal` aborts; what is set stays. */
  run(signal: AbortSignal): Promise<void> {
    return this.#rounds.run(signal);
  }

  async #ensure(): Promise<void> {
    const { ensureSysctls, memory, logger, cpus } = this.#options;
    const conntrackRoom = conntrackRoomFor(cpus);
    const needs = { families: [], bridge: false, localnet: this.#localnet, conntrackTimeouts: true, conntrackRoom };
    const { changes, problems } = await ensureSysctls(needs);
    for (const { name, before, after } of changes) logger.info({ sysctl: name, before, after }, 'sysctl was set');
    const unremembered = changes.length > 0 ? await memory.remember(changes) : undefined;
    if (unremembered !== undefined) logger.warn({ err: unremembered }, 'old values of settings were not remembered');
    this.#problems = problems;
    if (problems.length > 0) throw new UnsetError(problems.join('; '));
  }
}

/** Connections, as kube-proxy counts them out. */
function conntrackRoomFor(cpus: number): number {
  return Math.min(Math.max(32_768 * cpus, 131_072), 1_048_576);
}

/** It is tried again. */
class UnsetError extends Error {
  override readonly name = 'UnsetError';
}

function throwUnlessUnset(error: unknown): void {
  if (!(error instanceof UnsetError)) throw error;
}
