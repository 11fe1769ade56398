/** Keeps every set that somebody refers to equal to the pods that it asks for. */
import type { Namespace, Pod } from '../cluster/objects.ts';
import type { IpSetChange } from '../dataplane/dataplane.ts';
import type { IpSetName } from '../dataplane/names.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { MemberSet } from './member-set.ts';
import { namespaceLabels, PodDirectory } from './pod-directory.ts';
import { SetIndex } from './set-index.ts';
import type { SetSpec } from './set-spec.ts';

export class Membership {
  readonly #families: readonly IpFamily[];
  readonly #directory = new PodDirectory();
  readonly #index = new SetIndex();
  /** By IPv4 name, whatever the families: one entry for each question. */
  readonly #sets = new Map<IpSetName, MemberSet>();
  readonly #ipSets = new Map<IpSetName, IpSet>();
  /** Sets that may have changed since the changes were last taken. */
  readonly #touched = new Set<MemberSet>();

  constructor(families: readonly IpFamily[]) {
    this.#families = families;
  }

  /** As of the last `takeChanges`, except that members are live. */
  get ipSets(): ReadonlyMap<IpSetName, IpSet> {
    return this.#ipSets;
  }

  /** Moves the namespace's pods between the sets that look at namespace labels. */
  setNamespace(name: string, object: Namespace | undefined): void {
    const before = this.#index.scopesFor(this.#directory.labelsOf(name));
    const after = this.#index.scopesFor(namespaceLabels(name, object));
    const entered = after.filter((scope) => !before.includes(scope));
    const left = before.filter((scope) => !after.includes(scope));
    if (entered.length > 0 || left.length > 0) {
      for (const pod of this.#directory.podsIn(name)) {
        this.#join(
          pod,
          entered.flatMap((scope) => scope.matching(pod.labels)),
        );
        this.#leave(
          pod,
          left.flatMap((scope) => scope.matching(pod.labels)),
        );
      }
    }
    this.#directory.setNamespace(name, object);
  }

  /** `pod` absent: gone, or without an address of its own. */
  setPod(key: string, pod: Pod | undefined): void {
    const before = this.#directory.setPod(key, pod);
    // Joining first, so that a member that stays is never removed in between.
    if (pod !== undefined) this.#join(pod, this.#setsOf(pod));
    if (before !== undefined) this.#leave(before, this.#setsOf(before));
  }

  retain(spec: SetSpec): void {
    const present = this.#sets.get(spec.names.ipv4);
    if (present !== undefined) {
      present.references += 1;
      return;
    }
    const set = new MemberSet(spec, this.#families);
    set.references = 1;
    for (const pod of this.#directory.matching(spec.selection)) set.addPod(pod);
    this.#sets.set(spec.names.ipv4, set);
    this.#index.add(set);
    this.#touched.add(set);
  }

  /** The set goes when changes are taken and nobody has taken it up again. */
  release(spec: SetSpec): void {
    const set = this.#sets.get(spec.names.ipv4);
    if (set === undefined) throw new Error(`released a set that nobody retained: ${spec.names.ipv4}`);
    set.references -= 1;
    if (set.references === 0) this.#touched.add(set);
  }

  /** The net changes since the last call. */
  takeChanges(): readonly IpSetChange[] {
    const changes: IpSetChange[] = [];
    for (const set of this.#touched) changes.push(...(set.references > 0 ? this.#publish(set) : this.#discard(set)));
    this.#touched.clear();
    return changes;
  }

  #publish(set: MemberSet): readonly IpSetChange[] {
    const changes = set.takeChanges();
    for (const change of changes) if (change.kind === 'create') this.#ipSets.set(change.set.name, change.set);
    return changes;
  }

  /** A set that was never published goes without a word. */
  #discard(set: MemberSet): readonly IpSetChange[] {
    this.#sets.delete(set.spec.names.ipv4);
    this.#index.delete(set);
    return set.ipSets
      .filter(({ name }) => this.#ipSets.delete(name))
      .map(({ name, family }) => ({ kind: 'remove', name, family }));
  }

  #setsOf(pod: Pod): readonly MemberSet[] {
    return this.#index.setsOf(pod, this.#directory.labelsOf(pod.namespace));
  }

  #join(pod: Pod, sets: readonly MemberSet[]): void {
    for (const set of sets) {
      set.addPod(pod);
      this.#touched.add(set);
    }
  }

  #leave(pod: Pod, sets: readonly MemberSet[]): void {
    for (const set of sets) {
      set.deletePod(pod);
      this.#touched.add(set);
    }
  }
}
