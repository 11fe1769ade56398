/** What Services need at run time besides chains: health checks for load balancers, kernel settings, an end to UDP flows that lead nowhere. */
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { PlannedService, ServicePlan } from '../service/plan.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import { HealthChecks } from './health-checks.ts';
import type { HealthChecksOptions } from './health-checks.ts';
import { ServiceSysctls } from './service-sysctls.ts';
import type { ServiceSysctlsOptions } from './service-sysctls.ts';
import { StaleFlows } from './stale-flows.ts';
import type { StaleFlowsOptions } from './stale-flows.ts';

export type ServiceKeeperOptions = StaleFlowsOptions & ServiceSysctlsOptions & Omit<HealthChecksOptions, 'isHealthy'>;

/** A change that waits for longer to be in the kernel makes the node unfit for balanced traffic: twice kube-proxy's sync period. */
const stuckAfterMs = 60_000;

export class ServiceKeeper {
  readonly #clock: Clock;
  readonly #flows: StaleFlows;
  readonly #healthChecks: HealthChecks;
  readonly #sysctls: ServiceSysctls;
  /** Services of updates that are not in the kernel yet. */
  readonly #noted = new Set<string>();
  #waitingSince: number | undefined;

  constructor(options: ServiceKeeperOptions) {
    this.#clock = options.clock;
    this.#sysctls = new ServiceSysctls(options);
    this.#flows = new StaleFlows(options);
    this.#healthChecks = new HealthChecks({ ...options, isHealthy: () => !this.#isStuck() });
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.#healthChecks.diagnostics, ...this.#sysctls.diagnostics];
  }

  /** What was decided is in the kernel, or has not been waiting for long. */
  get isHealthy(): boolean {
    return !this.#isStuck();
  }

  /** An update that changes these Services is about to be written; the plan is what they are to become. */
  async note(services: Iterable<string>, plan: ServicePlan, node: NodePortOptions): Promise<void> {
    this.#waitingSince ??= this.#clock.now();
    const keys = [...services];
    for (const key of keys) this.#noted.add(key);
    await this.#flows.note(
      keys.map((key) => plan.services.get(key)),
      node,
    );
  }

  /** Everything noted is in the kernel, as the plan says. */
  written(plan: ServicePlan, node: NodePortOptions): void {
    this.#waitingSince = undefined;
    const services = [...this.#noted].map((key): readonly [string, PlannedService | undefined] => [
      key,
      plan.services.get(key),
    ]);
    this.#noted.clear();
    this.#sysctls.written(node);
    this.#flows.written(services, node);
    this.#healthChecks.written(services, node);
  }

  /** Kernel settings have no events: looked at every few seconds, and set again. */
  checkSettings(): void {
    this.#sysctls.check();
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#sysctls.run(signal), this.#flows.run(signal), this.#healthChecks.run(signal)]);
  }

  #isStuck(): boolean {
    return this.#waitingSince !== undefined && this.#clock.now() - this.#waitingSince >= stuckAfterMs;
  }
}
