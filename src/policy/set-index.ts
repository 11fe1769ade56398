/** One pod, many sets: which of them is it in? The inverse of `PodDirectory.matching`. */
import type { Labels, Pod } from '../cluster/objects.ts';
import { SelectorIndex } from '../cluster/selector-index.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { MemberSet } from './member-set.ts';
import type { NamespaceScope } from './set-spec.ts';

/** The sets that look at one choice of namespaces, filed by what they ask of a pod. */
export type ScopeSets = SelectorIndex<MemberSet>;

export class SetIndex {
  readonly #everywhere: ScopeSets = new SelectorIndex();
  readonly #byNamespace = new Map<string, ScopeSets>();
  readonly #bySelector = new Map<string, ScopeSets>();
  /** Finds the namespace selectors that a namespace meets. */
  readonly #selectors = new SelectorIndex<ScopeSets>();

  add(set: MemberSet): void {
    const { namespaces, pods } = set.spec.selection;
    this.#scopeOf(namespaces).add(pods, set);
  }

  delete(set: MemberSet): void {
    const { namespaces } = set.spec.selection;
    const scope = this.#scopeOf(namespaces);
    scope.delete(set);
    if (scope.size > 0) return;
    if (namespaces.kind === 'one') this.#byNamespace.delete(namespaces.name);
    if (namespaces.kind === 'selected') {
      this.#bySelector.delete(namespaces.text);
      this.#selectors.delete(scope);
    }
  }

  /** Every set that the pod is in, each once. */
  setsOf(pod: Pod, labelsOfNamespace: Labels): MemberSet[] {
    const found = this.#everywhere.matching(pod.labels);
    found.push(...(this.#byNamespace.get(pod.namespace)?.matching(pod.labels) ?? []));
    for (const scope of this.scopesFor(labelsOfNamespace)) found.push(...scope.matching(pod.labels));
    return found;
  }

  /** The scopes that a namespace is in because of its labels. */
  scopesFor(labelsOfNamespace: Labels): readonly ScopeSets[] {
    return this.#selectors.matching(labelsOfNamespace);
  }

  #scopeOf(namespaces: NamespaceScope): ScopeSets {
    switch (namespaces.kind) {
      case 'all':
        return this.#everywhere;
      case 'one':
        return this.#byNamespace.get(namespaces.name) ?? this.#newNamespace(namespaces.name);
      case 'selected': {
        const present = this.#bySelector.get(namespaces.text);
        if (present !== undefined) return present;
        const scope: ScopeSets = new SelectorIndex();
        this.#bySelector.set(namespaces.text, scope);
        this.#selectors.add(namespaces.selector, scope);
        return scope;
      }
      default:
        return unreachable(namespaces);
    }
  }

  #newNamespace(name: string): ScopeSets {
    const scope: ScopeSets = new SelectorIndex();
    this.#byNamespace.set(name, scope);
    return scope;
  }
}
