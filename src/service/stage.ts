/** The service half as an incremental stage: changes of objects in, changes of KUBE chains out. */
import type { ClusterState, ObjectChange } from '../cluster/state.ts';
import type { ChainChange } from '../dataplane/dataplane.ts';
import type { Hook } from '../dataplane/rule.ts';
import { flat } from '../lib/compact.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import { type PortChains, renderPort } from './chains.ts';
import { FrontendClaims } from './claims.ts';
import { decideService } from './decide.ts';
import { commentedEndpoints, EndpointComments } from './endpoint-comments.ts';
import { fixedChains, nodePortJumps } from './fixed.ts';
import { frontendRules, type SectionEntry } from './frontends.ts';
import { serviceHooks } from './hooks.ts';
import { isSameChain } from './lazy-chain.ts';
import type { ServiceOptions } from './options.ts';
import type { PlannedPort, PlannedService, ServicePlan } from './plan.ts';
import { serviceKey, SliceIndex } from './slice-index.ts';
import { DispatchChains, servicesChain } from './top.ts';
import { unallocatedRules } from './unallocated.ts';

export interface ServiceStageResult {
  readonly chains: readonly ChainChange[];
  /** Keys of the Services that were decided again, or are gone. */
  readonly touched: ReadonlySet<string>;
  /** All that are there now, not only the new ones. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Decides and renders again only the Services that a change touches. */
export class ServiceStage {
  readonly #state: ClusterState;
  readonly #families: readonly IpFamily[];
  readonly #slices = new SliceIndex();
  readonly #claims = new FrontendClaims();
  readonly #comments: EndpointComments;
  readonly #decided = new Map<string, Decision>();
  readonly #planned = new Map<string, PlannedService>();
  readonly #rendered = new Map<string, readonly RenderedPort[]>();
  readonly #diagnostics = new Map<string, readonly Diagnostic[]>();
  readonly #dispatch: ReadonlyMap<IpFamily, DispatchChains>;
  #options: ServiceOptions;
  /** Absent before the first call. */
  #applied: ServiceOptions | undefined;
  #zone: string | undefined;

  /** `commentLimit`: above so many endpoints of a family the rules about single ones carry no comment. */
  constructor(
    state: ClusterState,
    options: ServiceOptions,
    families: readonly IpFamily[],
    commentLimit = commentedEndpoints,
  ) {
    this.#comments = new EndpointComments(commentLimit);
    this.#state = state;
    this.#options = options;
    this.#families = families;
    this.#dispatch = new Map(families.map((family) => [family, new DispatchChains(family)]));
  }

  get plan(): ServicePlan {
    return { services: this.#planned };
  }

  hooks(family: IpFamily): readonly Hook[] {
    return serviceHooks(this.#options, family);
  }

  /** `changes` are already in the state. The first call takes everything that the state holds. `options` absent: unchanged. */
  apply(changes: readonly ObjectChange[], options: ServiceOptions = this.#options): ServiceStageResult {
    const before = this.#applied;
    this.#options = options;
    this.#applied = options;
    const chains: ChainChange[] = this.#changeFixed(before);
    const due = this.#touched(changes, before);
    const touched = new Set(due);
    for (const key of due) for (const other of this.#decide(key)) touched.add(other);
    const isAll = this.#comments.takeChange(this.#families);
    for (const key of isAll ? new Set([...touched, ...this.#decided.keys()]) : touched) this.#render(key, chains);
    if (before === undefined || changes.some(({ kind }) => kind === 'ServiceCIDR')) this.#setUnallocated();
    for (const dispatch of this.#dispatch.values()) chains.push(...dispatch.takeChanges());
    return { chains, touched, diagnostics: [...this.#diagnostics.values()].flat() };
  }

  /** What depends on the options alone. */
  #changeFixed(before: ServiceOptions | undefined): ChainChange[] {
    if (before === this.#options) return [];
    return this.#families.flatMap((family) => {
      this.#dispatch.get(family)?.setTail('nat', servicesChain, nodePortJumps(this.#options, family));
      const old = before === undefined ? [] : fixedChains(before, family);
      const now = fixedChains(this.#options, family);
      const changed = now.filter(({ chain }) => !old.some((one) => isSameChain(one.chain, chain)));
      const gone = old.filter(({ chain }) => !now.some((one) => one.chain.name === chain.name));
      return [
        ...changed.map(({ table, chain }) => ({ family, table, name: chain.name, chain })),
        ...gone.map(({ table, chain: { name } }) => ({ family, table, name })),
      ];
    });
  }

  #setUnallocated(): void {
    for (const [family, dispatch] of this.#dispatch) {
      dispatch.setTail('filter', servicesChain, unallocatedRules(this.#state.serviceCidrs.values(), family));
    }
  }

  /** Keys of the Services to look at again. */
  #touched(changes: readonly ObjectChange[], before: ServiceOptions | undefined): Set<string> {
    const zone = this.#state.nodes.get(this.#options.nodeName)?.labels[zoneLabel];
    const isAll = before === undefined || zone !== this.#zone;
    this.#zone = zone;
    const touched = new Set<string>(isAll ? this.#state.services.keys() : this.#affectedByOptions(before));
    if (before === undefined) for (const slice of this.#state.endpointSlices.values()) this.#slices.set(slice);
    else for (const change of changes) this.#note(change, touched);
    return touched;
  }

  /** The node's addresses come and go; of the Services only those care that let the node in by its address. */
  *#affectedByOptions(before: ServiceOptions): Generator<string> {
    const { nodeAddresses, conntrackLiberal: _forward, ...options } = this.#options;
    const { nodeAddresses: formerAddresses, conntrackLiberal: _formerForward, ...former } = before;
    if (!sameValue(options, former)) yield* this.#state.services.keys();
    else if (!sameValue(nodeAddresses, formerAddresses)) {
      for (const [key, { loadBalancerSourceRanges }] of this.#state.services) {
        if (loadBalancerSourceRanges.length > 0) yield key;
      }
    }
  }

  #note({ kind, key, before, after }: ObjectChange, touched: Set<string>): void {
    if (kind === 'Service') touched.add(key);
    if (before?.kind === 'EndpointSlice') {
      this.#slices.delete(before);
      touched.add(serviceKey(before));
    }
    if (after?.kind === 'EndpointSlice') {
      this.#slices.set(after);
      touched.add(serviceKey(after));
    }
  }

  /** Answers the other Services that gain or lose a frontend by it. */
  #decide(key: string): ReadonlySet<string> {
    const service = this.#state.services.get(key);
    const before = this.#decided.get(key);
    if (service === undefined) this.#decided.delete(key);
    else {
      const context = {
        options: this.#options,
        families: this.#families,
        ...(this.#zone === undefined ? {} : { zone: this.#zone }),
      };
      this.#decided.set(key, decideService(service, this.#slices.of(key), context));
    }
    const after = this.#decided.get(key);
    this.#comments.replace(before?.planned, after?.planned);
    return this.#claims.replace(before?.planned, after?.planned);
  }

  #render(key: string, chains: ChainChange[]): void {
    const decided = this.#decided.get(key);
    if (decided === undefined) {
      this.#planned.delete(key);
      this.#diagnostics.delete(key);
      this.#replacePorts(key, [], chains);
      return;
    }
    const { planned, diagnostics } = this.#claims.resolve(decided.planned);
    const problems = [...decided.diagnostics, ...diagnostics];
    this.#planned.set(key, planned);
    if (problems.length > 0) this.#diagnostics.set(key, problems);
    else this.#diagnostics.delete(key);
    const object = flat(planned.service.kind, ' ', key);
    const rendered = planned.ports.map((port) => {
      const before = this.#renderedBefore(key, port);
      const rendering = { object, options: this.#options, hasComments: this.#comments.has(port.family) };
      return { ...renderPort(port, rendering, before), entries: frontendRules(port, object) };
    });
    this.#replacePorts(key, rendered, chains);
  }

  #replacePorts(key: string, after: readonly RenderedPort[], chains: ChainChange[]): void {
    for (const old of this.#rendered.get(key) ?? []) {
      if (!after.some(({ port }) => isSamePort(port, old.port)))
        this.#replacePort(old.port.family, old, noOutput, chains);
    }
    for (const now of after) {
      this.#replacePort(now.port.family, this.#renderedBefore(key, now.port) ?? noOutput, now, chains);
    }
    if (after.length === 0) this.#rendered.delete(key);
    else this.#rendered.set(key, after);
  }

  #renderedBefore(key: string, port: PlannedPort): RenderedPort | undefined {
    return this.#rendered.get(key)?.find((old) => isSamePort(old.port, port));
  }

  #replacePort(family: IpFamily, before: PortOutput, after: PortOutput, chains: ChainChange[]): void {
    this.#dispatch.get(family)?.replace(before.entries, after.entries);
    const gone = new Map(before.chains.map((chain) => [chain.name, chain]));
    for (const chain of after.chains) {
      const old = gone.get(chain.name);
      gone.delete(chain.name);
      if (old === undefined || !isSameChain(old, chain)) chains.push({ family, table: 'nat', name: chain.name, chain });
    }
    for (const name of gone.keys()) chains.push({ family, table: 'nat', name });
  }
}

type Decision = ReturnType<typeof decideService>;

type PortOutput = Pick<RenderedPort, 'chains' | 'entries'>;

const noOutput: PortOutput = { chains: [], entries: [] };

interface RenderedPort extends PortChains {
  readonly entries: readonly SectionEntry[];
}

const zoneLabel = 'topology.kubernetes.io/zone';

/** One service port in one family, before and after a change. */
function isSamePort(one: PlannedPort, other: PlannedPort): boolean {
  return (
    one.family === other.family && one.servicePortName === other.servicePortName && one.protocol === other.protocol
  );
}
