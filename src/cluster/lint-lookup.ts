/** Lookups that lint rules share. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { ClusterObject, LabelSelector, Namespace, NetworkPolicy, Pod, PolicyPeer, PolicyRule } from './objects.ts';
import { describeObject, keyOf } from './objects.ts';
import { everything, matchesSelector } from './selector.ts';
import type { ClusterState } from './state.ts';

/** Pods by namespace, sorted by name. */
export class PodsOfCluster {
  readonly #namespaces: readonly Namespace[];
  readonly #pods = new Map<string, Pod[]>();
  readonly all: readonly Pod[];

  constructor(state: ClusterState) {
    this.#namespaces = [...state.namespaces.values()];
    this.all = [...state.pods.values()].toSorted((left, right) => (keyOf(left) < keyOf(right) ? -1 : 1));
    for (const pod of this.all) {
      const known = this.#pods.get(pod.namespace);
      if (known === undefined) this.#pods.set(pod.namespace, [pod]);
      else known.push(pod);
    }
  }

  inNamespace(namespace: string, selector: LabelSelector): readonly Pod[] {
    return (this.#pods.get(namespace) ?? []).filter((pod) => matchesSelector(selector, pod.labels));
  }

  namespaces(selector: LabelSelector): readonly string[] {
    return this.#namespaces.filter(({ labels }) => matchesSelector(selector, labels)).map(({ name }) => name);
  }

  ofPeer(policy: NetworkPolicy, peer: Extract<PolicyPeer, { kind: 'pods' }>): readonly Pod[] {
    const { namespaceSelector, podSelector = everything } = peer;
    const namespaces = namespaceSelector === undefined ? [policy.namespace] : this.namespaces(namespaceSelector);
    return namespaces.flatMap((namespace) => this.inNamespace(namespace, podSelector));
  }
}

function rulesOf(policy: NetworkPolicy): readonly PolicyRule[] {
  return [...policy.ingress, ...policy.egress];
}

export function peersOf(policy: NetworkPolicy): readonly PolicyPeer[] {
  return rulesOf(policy).flatMap((rule) => rule.peers ?? []);
}

/** A warning at a field of an object. */
export function warn(object: ClusterObject, path: string, message: string): Diagnostic {
  const { location } = object;
  const place = location === undefined ? {} : { file: location.file, line: location.lines.get(path) ?? location.line };
  return { severity: 'warning', object: describeObject(object), message, path, ...place };
}
