/** Which policies select which local pods. */
import type { NetworkPolicy, Pod } from '../cluster/objects.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { SelectorIndex } from '../cluster/selector-index.ts';
import { policyId } from '../dataplane/names.ts';
import type { WorkloadEndpoint } from './plan.ts';

/** A policy, and how many local pods it selects. */
interface Subscription {
  readonly id: string;
  readonly policy: NetworkPolicy;
  endpoints: number;
}

interface LocalPod {
  readonly pod: Pod;
  readonly selectedBy: Set<Subscription>;
}

/** Policies select pods of their own namespace only, so everything is kept apart by namespace. */
interface NamespaceSubjects {
  readonly policies: Map<string, Subscription>;
  readonly selectors: SelectorIndex<Subscription>;
  readonly pods: Map<string, LocalPod>;
}

export class Subjects {
  readonly #namespaces = new Map<string, NamespaceSubjects>();
  /** Keys of pods whose endpoint may have changed. */
  readonly #touchedPods = new Set<string>();
  /** Keys of policies that may have become active or inactive, or changed. */
  readonly #touchedPolicies = new Set<string>();

  /** `pod` absent: gone, not local, or not policed. */
  setPod(key: string, pod: Pod | undefined): void {
    const subjects = this.#subjectsOf(key);
    const before = subjects.pods.get(key);
    if (before === undefined && pod === undefined) return this.#drop(key, subjects);
    const selectedBy = new Set(pod === undefined ? [] : subjects.selectors.matching(pod.labels));
    for (const subscription of selectedBy) this.#count(subscription, 1);
    for (const subscription of before?.selectedBy ?? []) this.#count(subscription, -1);
    if (pod === undefined) subjects.pods.delete(key);
    else subjects.pods.set(key, { pod, selectedBy });
    this.#touchedPods.add(key);
    this.#drop(key, subjects);
  }

  setPolicy(key: string, policy: NetworkPolicy | undefined): void {
    const subjects = this.#subjectsOf(key);
    const before = subjects.policies.get(key);
    const after = policy === undefined ? undefined : subscriptionOf(policy);
    if (before !== undefined) unfile(key, before, subjects);
    if (after !== undefined) file(key, after, subjects);
    for (const [podKey, local] of subjects.pods) {
      if (replaceIn(local, before, after)) this.#touchedPods.add(podKey);
    }
    this.#touchedPolicies.add(key);
    this.#drop(key, subjects);
  }

  /** The policy, if it selects a local pod. */
  activePolicy(key: string): NetworkPolicy | undefined {
    const subscription = this.#namespaces.get(namespaceOf(key))?.policies.get(key);
    return subscription !== undefined && subscription.endpoints > 0 ? subscription.policy : undefined;
  }

  /** The pod as it is policed now, if it is. */
  endpoint(key: string): WorkloadEndpoint | undefined {
    const local = this.#namespaces.get(namespaceOf(key))?.pods.get(key);
    if (local === undefined) return undefined;
    const { pod } = local;
    const policies = [...local.selectedBy].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    return {
      key,
      pod,
      ingress: policies.filter(({ policy }) => policy.isolatesIngress).map(({ id }) => id),
      egress: policies.filter(({ policy }) => policy.isolatesEgress).map(({ id }) => id),
      profiles: [`kns.${pod.namespace}`, `ksa.${pod.namespace}.${pod.serviceAccount}`],
    };
  }

  /** What may have changed since the last call, by key. */
  takeTouched(): { readonly pods: readonly string[]; readonly policies: readonly string[] } {
    const touched = { pods: [...this.#touchedPods], policies: [...this.#touchedPolicies] };
    this.#touchedPods.clear();
    this.#touchedPolicies.clear();
    return touched;
  }

  #count(subscription: Subscription, by: 1 | -1): void {
    subscription.endpoints += by;
    const { namespace, name } = subscription.policy;
    this.#touchedPolicies.add(`${namespace}/${name}`);
  }

  #subjectsOf(key: string): NamespaceSubjects {
    const namespace = namespaceOf(key);
    const present = this.#namespaces.get(namespace);
    if (present !== undefined) return present;
    const subjects: NamespaceSubjects = { policies: new Map(), selectors: new SelectorIndex(), pods: new Map() };
    this.#namespaces.set(namespace, subjects);
    return subjects;
  }

  #drop(key: string, subjects: NamespaceSubjects): void {
    if (subjects.policies.size === 0 && subjects.pods.size === 0) this.#namespaces.delete(namespaceOf(key));
  }
}

function subscriptionOf(policy: NetworkPolicy): Subscription {
  return { id: policyId(policy.namespace, policy.name), policy, endpoints: 0 };
}

function file(key: string, subscription: Subscription, subjects: NamespaceSubjects): void {
  subjects.policies.set(key, subscription);
  subjects.selectors.add(subscription.policy.podSelector, subscription);
}

function unfile(key: string, subscription: Subscription, subjects: NamespaceSubjects): void {
  subjects.policies.delete(key);
  subjects.selectors.delete(subscription);
}

/** Tells whether the pod's lists of policies differ now: a policy that only got other rules is in the same places. */
function replaceIn(local: LocalPod, before: Subscription | undefined, after: Subscription | undefined): boolean {
  const left = before !== undefined && local.selectedBy.delete(before) ? before : undefined;
  const joined = after !== undefined && matchesSelector(after.policy.podSelector, local.pod.labels) ? after : undefined;
  if (joined !== undefined) {
    local.selectedBy.add(joined);
    joined.endpoints += 1;
  }
  return (
    left?.policy.isolatesIngress !== joined?.policy.isolatesIngress ||
    left?.policy.isolatesEgress !== joined?.policy.isolatesEgress
  );
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
