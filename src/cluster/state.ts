/** The cluster as one live, indexed view; changes come in batches from a source. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import type {
  ClusterObject,
  EndpointSlice,
  Namespace,
  NetworkPolicy,
  Node,
  ObjectKind,
  Pod,
  Service,
  ServiceCidr,
} from './objects.ts';
import { keyOf } from './objects.ts';

export type ClusterChange =
  | { readonly type: 'set'; readonly object: ClusterObject }
  | { readonly type: 'delete'; readonly kind: ObjectKind; readonly key: string };

/** What a source delivers: changes to objects and, when they changed, all its present diagnostics. */
export interface SourceBatch {
  readonly changes: readonly ClusterChange[];
  /** True from the batch on that completes the first snapshot of every kind; nothing may be written before. */
  readonly synced: boolean;
  /** The whole present list, or absent when unchanged. */
  readonly diagnostics?: readonly Diagnostic[];
}

/** Both `manifests/` and `kube/` are one of these. */
export interface ClusterSource {
  /** Ends when `signal` aborts. */
  watch(signal: AbortSignal): AsyncIterable<SourceBatch>;
}

/** Read-only view. Keys are `namespace/name` (or `name`). Objects are immutable; the maps are live. */
export interface ClusterState {
  /** Grows with every applied batch. */
  readonly revision: number;
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly networkPolicies: ReadonlyMap<string, NetworkPolicy>;
  readonly services: ReadonlyMap<string, Service>;
  readonly endpointSlices: ReadonlyMap<string, EndpointSlice>;
  readonly serviceCidrs: ReadonlyMap<string, ServiceCidr>;
}

/** One object that really changed: `before` and `after` differ in identity; one of them may be absent. */
export interface ObjectChange<T extends ClusterObject = ClusterObject> {
  readonly kind: ObjectKind;
  readonly key: string;
  readonly before?: T;
  readonly after?: T;
}

/** The owner of the cluster state. */
export class ClusterStore implements ClusterState {
  readonly namespaces = new Map<string, Namespace>();
  readonly nodes = new Map<string, Node>();
  readonly pods = new Map<string, Pod>();
  readonly networkPolicies = new Map<string, NetworkPolicy>();
  readonly services = new Map<string, Service>();
  readonly endpointSlices = new Map<string, EndpointSlice>();
  readonly serviceCidrs = new Map<string, ServiceCidr>();
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  /** Applies a batch and tells what became of each object, in order, deletions of unknown objects left out. */
  apply(changes: readonly ClusterChange[]): readonly ObjectChange[] {
    this.#revision += 1;
    const result: ObjectChange[] = [];
    for (const change of changes) {
      const applied = change.type === 'set' ? this.#set(change.object) : this.#delete(change.kind, change.key);
      if (applied !== undefined) result.push(applied);
    }
    return result;
  }

  #set(object: ClusterObject): ObjectChange {
    const index = this.#indexOf(object.kind);
    const key = keyOf(object);
    const before = index.get(key);
    index.set(key, object);
    return { kind: object.kind, key, after: object, ...(before === undefined ? {} : { before }) };
  }

  #delete(kind: ObjectKind, key: string): ObjectChange | undefined {
    const index = this.#indexOf(kind);
    const before = index.get(key);
    if (before === undefined) return undefined;
    index.delete(key);
    return { kind, key, before };
  }

  #indexOf(kind: ObjectKind): Map<string, ClusterObject> {
    const indexes: Record<ObjectKind, ReadonlyMap<string, ClusterObject>> = {
      Namespace: this.namespaces,
      Node: this.nodes,
      Pod: this.pods,
      NetworkPolicy: this.networkPolicies,
      Service: this.services,
      EndpointSlice: this.endpointSlices,
      ServiceCIDR: this.serviceCidrs,
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind decides which objects the index holds
    return indexes[kind] as Map<string, ClusterObject>;
  }
}
