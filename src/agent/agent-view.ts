/** The agent as its server shows it: every answer is made when it is asked for, so an agent that nobody asks spends nothing. */
import type { ClusterState } from '../cluster/state.ts';
import { iptablesRestoreText, ipSetRestoreText } from '../dataplane/restore-text.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { AgentView } from '../server/app.ts';
import type { NodeHealth } from '../server/node-health.ts';
import type { CompilerInput } from '../server/state-codec.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { PartStatus, Readiness } from '../telemetry/readiness.ts';
import type { AgentStatus, DiagnosticList, EndpointList, MachineVersions } from '../telemetry/status.ts';
import type { Agent } from './agent.ts';
import { countObjects, countSets, countTables, fillRatios, sum } from './counts.ts';
import { endpointStatuses } from './endpoint-status.ts';

/** What does not change while an agent runs. */
export type AgentIdentity = Pick<
  AgentStatus,
  'version' | 'node' | 'pid' | 'startedAt' | 'source' | 'ipFamilies' | 'iptablesBackend'
>;

export interface AgentViewParts {
  readonly agent: Agent;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly identity: AgentIdentity;
  /** Undefined: not known yet. */
  readonly versions: () => MachineVersions | undefined;
}

export class LiveAgentView implements AgentView {
  readonly #agent: Agent;
  readonly #readiness: Readiness;
  readonly #metrics: Metrics;
  readonly #identity: AgentIdentity;
  readonly #versions: AgentViewParts['versions'];

  constructor({ agent, readiness, metrics, identity, versions }: AgentViewParts) {
    this.#versions = versions;
    this.#agent = agent;
    this.#readiness = readiness;
    this.#metrics = metrics;
    this.#identity = identity;
  }

  get parts(): readonly PartStatus[] {
    return this.#readiness.parts;
  }

  get metricsContentType(): string {
    return this.#metrics.registry.contentType;
  }

  metricsText(): Promise<string> {
    this.#setGauges();
    return this.#metrics.registry.metrics();
  }

  get state(): ClusterState {
    return this.#agent.state;
  }

  get status(): AgentStatus {
    const { desired, kernel, diagnostics, failures, lastFailure, state } = this.#agent;
    const dataplane = desired.compiler?.dataplane;
    const tables = dataplane === undefined ? [] : countTables(dataplane);
    const sets = dataplane === undefined ? [] : countSets(dataplane);
    const { endpoints } = this.endpoints;
    const { programmingLatency } = kernel;
    const versions = this.#versions();
    return {
      ...this.#identity,
      ...(versions === undefined ? {} : { versions }),
      ready: this.#readiness.isReady,
      parts: this.parts,
      revision: state.revision,
      appliedRevision: kernel.appliedRevision,
      leftBehind: kernel.hasLeftovers,
      objects: countObjects(state),
      chains: sum(tables.map(({ chains }) => chains)),
      rules: sum(tables.map(({ rules }) => rules)),
      ipSets: sum(sets.map(({ ipSets }) => ipSets)),
      ipSetMembers: sum(sets.map(({ members }) => members)),
      endpoints: { known: endpoints.length, programmed: endpoints.filter(({ programmed }) => programmed).length },
      diagnostics: {
        errors: diagnostics.filter(({ severity }) => severity === 'error').length,
        warnings: diagnostics.filter(({ severity }) => severity === 'warning').length,
      },
      driftRepairs: kernel.driftRepairs,
      failures,
      ...(programmingLatency === undefined ? {} : { programmingLatency }),
      ...(kernel.lastUpdate === undefined ? {} : { lastUpdate: kernel.lastUpdate }),
      ...(lastFailure === undefined ? {} : { lastFailure }),
    };
  }

  get nodeHealth(): NodeHealth | undefined {
    const { servesServicesWell: healthy, kernel, state } = this.#agent;
    if (healthy === undefined) return undefined;
    const node = state.nodes.get(this.#identity.node);
    return {
      healthy,
      nodeEligible: node !== undefined && node.leaving !== true,
      families: this.#identity.ipFamilies,
      ...(kernel.lastUpdate === undefined ? {} : { lastUpdated: kernel.lastUpdate.at }),
    };
  }

  get endpoints(): EndpointList {
    const { desired, kernel } = this.#agent;
    return {
      appliedRevision: kernel.appliedRevision,
      endpoints: endpointStatuses(desired.compiler, kernel.programmed),
    };
  }

  get diagnostics(): DiagnosticList {
    return { diagnostics: this.#agent.diagnostics };
  }

  get ipSets(): Iterable<IpSet> {
    return this.#agent.desired.compiler?.dataplane.ipSets.values() ?? [];
  }

  get compilerInput(): CompilerInput | undefined {
    return this.#agent.desired.compilerInput;
  }

  renderText(): string {
    const dataplane = this.#agent.desired.compiler?.dataplane;
    if (dataplane === undefined) return '';
    return `${ipSetRestoreText(dataplane)}${iptablesRestoreText(dataplane, 'ipv4')}${iptablesRestoreText(dataplane, 'ipv6')}`;
  }

  #setGauges(): void {
    const metrics = this.#metrics;
    const dataplane = this.#agent.desired.compiler?.dataplane;
    const { endpoints, diagnostics, objects, lastUpdate } = this.status;
    for (const { family, table, chains, rules } of dataplane === undefined ? [] : countTables(dataplane)) {
      metrics.chains.set({ family, table }, chains);
      metrics.rules.set({ family, table }, rules);
    }
    for (const { family, ipSets, members } of dataplane === undefined ? [] : countSets(dataplane)) {
      metrics.ipSets.set({ family }, ipSets);
      metrics.ipSetMembers.set({ family }, members);
    }
    for (const [family, ratio] of fillRatios(this.#agent.kernel.ipSets)) metrics.ipSetFill.set({ family }, ratio);
    for (const [kind, count] of Object.entries(objects)) metrics.objects.set({ kind }, count);
    metrics.endpoints.set({ programmed: 'true' }, endpoints.programmed);
    metrics.endpoints.set({ programmed: 'false' }, endpoints.known - endpoints.programmed);
    metrics.diagnostics.set({ severity: 'error' }, diagnostics.errors);
    metrics.diagnostics.set({ severity: 'warning' }, diagnostics.warnings);
    for (const { part, reason } of this.parts) metrics.ready.set({ part }, reason === undefined ? 1 : 0);
    metrics.pendingSeconds.set(this.#agent.oldestPendingMs / 1000);
    metrics.lastWrite.set(lastUpdate === undefined ? 0 : Date.parse(lastUpdate.at) / 1000);
    this.#setBuildInfo();
  }

  /** Other labels are another series: what was said before something was known is taken back. */
  #setBuildInfo(): void {
    const { version, iptablesBackend: variant = '' } = this.#identity;
    const { iptables, ipset, kernel } = this.#versions() ?? { iptables: '', ipset: '', kernel: '' };
    this.#metrics.buildInfo.reset();
    this.#metrics.buildInfo.set({ version, iptables, variant, ipset, kernel }, 1);
  }
}
