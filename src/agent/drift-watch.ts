/** How the agent learns that somebody else has changed what is ours. */
import type { ReadScope } from '../backends/backend.ts';
import type { KernelBackend } from '../backends/kernel-backend.ts';
import { findDrift } from '../backends/drift-check.ts';
import { CommandError } from '../backends/exec.ts';
import type { OwnProcesses } from '../backends/iptables/rule-events.ts';
import type { IptablesVariant } from '../backends/iptables/variant.ts';
import { watchRules } from '../backends/iptables/watch-rules.ts';
import { TableLooks } from '../backends/table-looks.ts';
import type { Dataplane } from '../dataplane/dataplane.ts';
import type { Ownership } from '../dataplane/observed.ts';
import type { TableName } from '../dataplane/rule.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface DriftWatch {
  /** Tables that somebody else has changed, as they are changed; may end early where there are no such events. */
  changes(signal: AbortSignal): AsyncIterable<readonly TableName[]>;
  /** Nobody touches our rules without `changes` telling it. */
  readonly isFollowing: boolean;
  /** A cheap look for what has no events; it names what should be compared. */
  look(dataplane: Dataplane): Promise<ReadScope>;
}

export interface KernelDriftWatchOptions {
  readonly backend: KernelBackend;
  readonly variant: IptablesVariant;
  readonly ownership: Ownership;
  /** Our own programs, whose events are no drift. */
  readonly own: OwnProcesses;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
}

export class KernelDriftWatch implements DriftWatch {
  readonly #options: KernelDriftWatchOptions;
  /** Of legacy tables; those of nf_tables tell of their changes. */
  readonly #looks: TableLooks | undefined;
  #hasEvents = false;

  constructor(options: KernelDriftWatchOptions) {
    this.#options = options;
    const { backend, variant, clock } = options;
    this.#looks = variant === 'legacy' ? new TableLooks({ backend, now: () => clock.now() }) : undefined;
  }

  get isFollowing(): boolean {
    return this.#hasEvents;
  }

  /** Rules of nf_tables tell of their changes; legacy tables and sets do not. */
  async *changes(signal: AbortSignal): AsyncGenerator<readonly TableName[], void, undefined> {
    const { variant, ownership, own, logger } = this.#options;
    if (variant === 'legacy') return;
    this.#hasEvents = true;
    try {
      yield* watchRules(signal, { ownership, own });
    } catch (error) {
      if (!(error instanceof CommandError && error.isMissing)) throw error;
      logger.warn({ part: 'drift', err: error }, 'rule events were not available; looked at the hooks instead');
    } finally {
      this.#hasEvents = false;
    }
  }

  async look(dataplane: Dataplane): Promise<ReadScope> {
    const hasLooks = this.#looks !== undefined;
    const found = await findDrift(dataplane, this.#options.backend, { hooks: !hasLooks && !this.#hasEvents });
    return hasLooks ? { ...found, tables: await this.#looks.find(dataplane) } : found;
  }
}
