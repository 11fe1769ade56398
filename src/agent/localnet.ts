/**
 * nodePorts on 127.0.0.1 (kube-proxy.md 2.8): the kernel routes there what was sent to localhost and translated, once
 * sysctl route_localnet says so. It is set after KUBE-FIREWALL is in the kernel, which keeps neighbours from localhost.
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

export interface LocalnetOptions {
  readonly families: readonly IpFamily[];
  readonly ensureSysctls: (needs: SysctlNeeds) => Promise<SysctlReport>;
  readonly memory: Pick<SysctlMemory, 'remember'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Localnet {
  readonly #options: LocalnetOptions;
  readonly #rounds: Reconciler;
  #problems: readonly string[] = [];

  constructor(options: LocalnetOptions) {
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
      message: `node ports do not answer on 127.0.0.1: ${problem}`,
    }));
  }

  /** The chains are in the kernel. */
  written(node: NodePortOptions): void {
    if (this.#options.families.includes('ipv4') && answersOnLocalhost(node)) this.#rounds.markDirty();
  }

  /** Until `signal` aborts; what is set stays. */
  run(signal: AbortSignal): Promise<void> {
    return this.#rounds.run(signal);
  }

  async #ensure(): Promise<void> {
    const { ensureSysctls, memory, logger } = this.#options;
    const { changes, problems } = await ensureSysctls({ families: [], bridge: false, localnet: true });
    for (const { name, before, after } of changes) logger.info({ sysctl: name, before, after }, 'sysctl was set');
    if (changes.length > 0) await memory.remember(changes);
    this.#problems = problems;
    if (problems.length > 0) throw new UnsetError(problems.join('; '));
  }
}

/** It is tried again. */
class UnsetError extends Error {
  override readonly name = 'UnsetError';
}

function throwUnlessUnset(error: unknown): void {
  if (!(error instanceof UnsetError)) throw error;
}
