/** The pods that have a network identity of their own, found by namespace and label without looking at all of them. */
import type { LabelSelector, Labels, Namespace, Pod } from '../cluster/objects.ts';
import { LabelIndex, worthScanning } from '../cluster/label-index.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { NamespaceScope, PodSelection } from './set-spec.ts';

/** A namespace exists as soon as a pod names it; its object may come later, or never. */
export interface NamespaceEntry {
  readonly name: string;
  readonly labels: Labels;
  readonly hasObject: boolean;
  readonly pods: Map<string, Pod>;
}

/** hostNetwork pods share the node's address, and a finished pod's address may be another pod's by now: neither can be told apart by address. */
export function hasOwnAddress(pod: Pod): boolean {
  return !pod.hostNetwork && pod.ips.length > 0 && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
}

/** The labels that the API server gives every namespace stand even where the object is missing. */
export function namespaceLabels(name: string, object: Namespace | undefined): Labels {
  return { ...object?.labels, 'kubernetes.io/metadata.name': name };
}

export class PodDirectory {
  readonly #namespaces = new Map<string, NamespaceEntry>();
  readonly #byNamespaceLabel: LabelIndex<NamespaceEntry>;
  readonly #byPodLabel: LabelIndex<Pod>;
  #size = 0;

  /** `scanLimit`: how many pods or namespaces are looked at one by one before an index is worth its while. */
  constructor(scanLimit = worthScanning) {
    this.#byNamespaceLabel = new LabelIndex(() => this.#namespaces.values(), scanLimit);
    this.#byPodLabel = new LabelIndex(() => this.#allPods(), scanLimit);
  }

  /** The labels of a namespace, also of one that nobody has named yet. */
  labelsOf(namespace: string): Labels {
    return this.#namespaces.get(namespace)?.labels ?? namespaceLabels(namespace, undefined);
  }

  podsIn(namespace: string): Iterable<Pod> {
    return this.#namespaces.get(namespace)?.pods.values() ?? [];
  }

  setNamespace(name: string, object: Namespace | undefined): void {
    const before = this.#namespaces.get(name);
    const pods = before?.pods ?? new Map<string, Pod>();
    if (before !== undefined) this.#dropNamespace(before);
    if (object === undefined && pods.size === 0) return;
    this.#addNamespace({ name, labels: namespaceLabels(name, object), hasObject: object !== undefined, pods });
  }

  /** `pod` absent: gone, or without an address of its own. Returns what was there. */
  setPod(key: string, pod: Pod | undefined): Pod | undefined {
    const namespace = key.slice(0, key.indexOf('/'));
    const before = this.#namespaces.get(namespace)?.pods.get(key);
    if (before !== undefined) this.#byPodLabel.delete(before);
    if (pod === undefined) {
      if (before !== undefined) this.#deletePod(namespace, key);
      return before;
    }
    if (before === undefined) this.#size += 1;
    this.#entryOf(namespace).pods.set(key, pod);
    this.#byPodLabel.add(pod);
    return before;
  }

  *matching(selection: PodSelection): Generator<Pod> {
    const entries = this.#entriesIn(selection.namespaces);
    const names = entries === undefined ? undefined : new Set(entries.map((entry) => entry.name));
    for (const pods of this.#candidates(entries, selection.pods)) {
      for (const pod of pods) {
        if (names?.has(pod.namespace) !== false && matchesSelector(selection.pods, pod.labels)) yield pod;
      }
    }
  }

  /** The pods of the namespaces, or those with a label that a match must have: whatever is fewer. */
  #candidates(entries: readonly NamespaceEntry[] | undefined, selector: LabelSelector): readonly Iterable<Pod>[] {
    const count = entries?.reduce((sum, { pods }) => sum + pods.size, 0) ?? this.#size;
    const labelled = this.#byPodLabel.candidates(selector, count);
    if (labelled !== undefined) return labelled.groups;
    return entries?.map(({ pods }) => pods.values()) ?? [this.#allPods()];
  }

  /** undefined: all of them. */
  #entriesIn(scope: NamespaceScope): readonly NamespaceEntry[] | undefined {
    switch (scope.kind) {
      case 'all':
        return undefined;
      case 'one': {
        const entry = this.#namespaces.get(scope.name);
        return entry === undefined ? [] : [entry];
      }
      case 'selected': {
        const candidates = this.#byNamespaceLabel.candidates(scope.selector, this.#namespaces.size)?.groups ?? [
          this.#namespaces.values(),
        ];
        return candidates.flatMap((group) =>
          [...group].filter((entry) => matchesSelector(scope.selector, entry.labels)),
        );
      }
      default:
        return unreachable(scope);
    }
  }

  *#allPods(): Generator<Pod> {
    for (const { pods } of this.#namespaces.values()) yield* pods.values();
  }

  #entryOf(name: string): NamespaceEntry {
    const present = this.#namespaces.get(name);
    if (present !== undefined) return present;
    const entry = { name, labels: namespaceLabels(name, undefined), hasObject: false, pods: new Map<string, Pod>() };
    this.#addNamespace(entry);
    return entry;
  }

  #deletePod(namespace: string, key: string): void {
    const entry = this.#entryOf(namespace);
    entry.pods.delete(key);
    this.#size -= 1;
    if (entry.pods.size === 0 && !entry.hasObject) this.#dropNamespace(entry);
  }

  #addNamespace(entry: NamespaceEntry): void {
    this.#namespaces.set(entry.name, entry);
    this.#byNamespaceLabel.add(entry);
  }

  #dropNamespace(entry: NamespaceEntry): void {
    this.#namespaces.delete(entry.name);
    this.#byNamespaceLabel.delete(entry);
  }
}
