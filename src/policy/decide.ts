/** NetworkPolicies, pods and namespaces in, the plan of one node out: only what depends on a change is decided again. */
import type { NetworkPolicy, ObjectKind, Pod } from '../cluster/objects.ts';
import type { ClusterState, ObjectChange } from '../cluster/state.ts';
import { policyId } from '../dataplane/names.ts';
import type { IpFamily } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import { Membership } from './membership.ts';
import type { ActivePolicy, PolicyPlan, PolicyPlanDelta, WorkloadEndpoint } from './plan.ts';
import { planDirection } from './planned-rules.ts';
import { hasOwnAddress } from './pod-directory.ts';
import { ProfileCounter } from './profiles.ts';
import type { SetSpec } from './set-spec.ts';
import { Subjects } from './subjects.ts';

export interface PolicyDeciderOptions {
  readonly nodeName: string;
  /** A pod that has no address of these families is as good as one without an address. */
  readonly ipFamilies: readonly IpFamily[];
}

/** An active policy, and the sets that it holds. */
interface HeldPolicy {
  readonly active: ActivePolicy;
  readonly sets: readonly SetSpec[];
}

export class PolicyDecider {
  readonly #state: ClusterState;
  readonly #options: PolicyDeciderOptions;
  readonly #membership: Membership;
  readonly #subjects = new Subjects();
  readonly #endpoints = new Map<string, WorkloadEndpoint>();
  readonly #policies = new Map<string, ActivePolicy>();
  /** By policy id: the sets behind `#policies`. */
  readonly #held = new Map<string, readonly SetSpec[]>();
  readonly #profiles = new ProfileCounter();

  constructor(state: ClusterState, options: PolicyDeciderOptions) {
    this.#state = state;
    this.#options = options;
    this.#membership = new Membership(options.ipFamilies);
  }

  /** Live: it shows the plan as of the last `apply`. */
  get plan(): PolicyPlan {
    return {
      endpoints: this.#endpoints,
      policies: this.#policies,
      profiles: this.#profiles.counts,
      ipSets: this.#membership.ipSets,
    };
  }

  /** `state` holds the changes already; they say only what to look at again. */
  apply(changes: readonly ObjectChange[]): PolicyPlanDelta {
    // Namespaces before pods: a pod is then filed under its namespace's present labels. Policies last: at the first
    // snapshot every set is filled once, from the complete directory of pods.
    for (const name of keysOf(changes, 'Namespace')) {
      this.#membership.setNamespace(name, this.#state.namespaces.get(name));
    }
    for (const key of keysOf(changes, 'Pod')) this.#updatePod(key);
    for (const key of keysOf(changes, 'NetworkPolicy')) {
      this.#subjects.setPolicy(key, this.#state.networkPolicies.get(key));
    }
    const touched = this.#subjects.takeTouched();
    const policies = this.#updatePolicies(touched.policies);
    const endpoints = this.#updateEndpoints(touched.pods);
    return { endpoints, policies, profiles: this.#profiles.takeChanges(), ipSets: this.#membership.takeChanges() };
  }

  #updatePod(key: string): void {
    const pod = this.#state.pods.get(key);
    const addressed = pod === undefined ? undefined : this.#withOwnAddress(pod);
    this.#membership.setPod(key, addressed);
    this.#subjects.setPod(key, addressed?.nodeName === this.#options.nodeName ? addressed : undefined);
  }

  #withOwnAddress(pod: Pod): Pod | undefined {
    const { ipFamilies } = this.#options;
    return hasOwnAddress(pod) && pod.ips.some((ip) => ipFamilies.includes(familyOf(ip))) ? pod : undefined;
  }

  #updatePolicies(keys: readonly string[]): Map<string, ActivePolicy | undefined> {
    const changed = new Map<string, ActivePolicy | undefined>();
    for (const key of keys) {
      const id = idOf(key);
      const policy = this.#subjects.activePolicy(key);
      if (policy === this.#policies.get(id)?.policy) continue;
      const next = policy === undefined ? undefined : holdPolicy(id, policy);
      this.#replacePolicy(id, next);
      changed.set(id, next?.active);
    }
    return changed;
  }

  /** New sets are retained before the old ones are released, so that a set in both stays as it is. */
  #replacePolicy(id: string, next: HeldPolicy | undefined): void {
    const before = this.#held.get(id) ?? [];
    for (const set of next?.sets ?? []) this.#membership.retain(set);
    for (const set of before) this.#membership.release(set);
    if (next === undefined) {
      this.#policies.delete(id);
      this.#held.delete(id);
    } else {
      this.#policies.set(id, next.active);
      this.#held.set(id, next.sets);
    }
  }

  #updateEndpoints(keys: readonly string[]): Map<string, WorkloadEndpoint | undefined> {
    const changed = new Map<string, WorkloadEndpoint | undefined>();
    for (const key of keys) {
      const before = this.#endpoints.get(key);
      const after = this.#subjects.endpoint(key);
      if (isSame(before, after)) continue;
      this.#profiles.move(before?.profiles ?? [], after?.profiles ?? []);
      if (after === undefined) this.#endpoints.delete(key);
      else this.#endpoints.set(key, after);
      changed.set(key, after);
    }
    return changed;
  }
}

function holdPolicy(id: string, policy: NetworkPolicy): HeldPolicy {
  const ingress = policy.isolatesIngress ? planDirection(policy, 'ingress') : undefined;
  const egress = policy.isolatesEgress ? planDirection(policy, 'egress') : undefined;
  return {
    active: {
      id,
      policy,
      ...(ingress === undefined ? {} : { ingress: ingress.rules }),
      ...(egress === undefined ? {} : { egress: egress.rules }),
    },
    sets: [...(ingress?.sets ?? []), ...(egress?.sets ?? [])],
  };
}

function keysOf(changes: readonly ObjectChange[], kind: ObjectKind): ReadonlySet<string> {
  return new Set(changes.filter((change) => change.kind === kind).map((change) => change.key));
}

function idOf(policyKey: string): string {
  const slash = policyKey.indexOf('/');
  return policyId(policyKey.slice(0, slash), policyKey.slice(slash + 1));
}

function isSame(a: WorkloadEndpoint | undefined, b: WorkloadEndpoint | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.pod === b.pod && isSameList(a.ingress, b.ingress) && isSameList(a.egress, b.egress);
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((entry, index) => entry === b[index]);
}
