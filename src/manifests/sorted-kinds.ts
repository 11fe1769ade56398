/** Objects by kind, each kind sorted by name, so that values are given in one order whatever the order of the files. */
import type { EndpointSlice, Namespace, NetworkPolicy, ServiceCidr } from '../cluster/objects.ts';
import { unreachable } from '../lib/unreachable.ts';
import { placeOf } from './keys.ts';
import type { ParsedDeployment, ParsedNode, ParsedObject, ParsedPod, ParsedService } from './parsed.ts';

/** A list that is the very same array as before holds the very same objects. */
export interface ObjectsByKind {
  readonly namespaces: readonly Namespace[];
  readonly nodes: readonly ParsedNode[];
  readonly pods: readonly ParsedPod[];
  readonly deployments: readonly ParsedDeployment[];
  readonly services: readonly ParsedService[];
  readonly slices: readonly EndpointSlice[];
  readonly policies: readonly NetworkPolicy[];
  readonly serviceCidrs: readonly ServiceCidr[];
  /** Namespaces that any object names, sorted. */
  readonly namedNamespaces: readonly string[];
}

export class SortedKinds {
  readonly #namespaces = new SortedList<Namespace>();
  readonly #nodes = new SortedList<ParsedNode>();
  readonly #pods = new SortedList<ParsedPod>();
  readonly #deployments = new SortedList<ParsedDeployment>();
  readonly #services = new SortedList<ParsedService>();
  readonly #slices = new SortedList<EndpointSlice>();
  readonly #policies = new SortedList<NetworkPolicy>();
  readonly #serviceCidrs = new SortedList<ServiceCidr>();
  readonly #named = new NamedNamespaces();

  get lists(): ObjectsByKind {
    return {
      namespaces: this.#namespaces.sorted,
      nodes: this.#nodes.sorted,
      pods: this.#pods.sorted,
      deployments: this.#deployments.sorted,
      services: this.#services.sorted,
      slices: this.#slices.sorted,
      policies: this.#policies.sorted,
      serviceCidrs: this.#serviceCidrs.sorted,
      namedNamespaces: this.#named.sorted,
    };
  }

  /** Both are of one kind and name, or one of them is absent. */
  replace(before: ParsedObject | undefined, after: ParsedObject | undefined): void {
    if (before === after) return;
    if (after !== undefined) this.#change(after, 'set');
    else if (before !== undefined) this.#change(before, 'delete');
    this.#named.replace(namespaceOf(before), namespaceOf(after));
  }

  #change(object: ParsedObject, change: 'set' | 'delete'): void {
    switch (object.kind) {
      case 'Namespace':
        return this.#namespaces[change](object);
      case 'Node':
        return this.#nodes[change](object);
      case 'Pod':
        return this.#pods[change](object);
      case 'Deployment':
        return this.#deployments[change](object);
      case 'Service':
        return this.#services[change](object);
      case 'EndpointSlice':
        return this.#slices[change](object);
      case 'NetworkPolicy':
        return this.#policies[change](object);
      case 'ServiceCIDR':
        return this.#serviceCidrs[change](object);
      default:
        return unreachable(object);
    }
  }
}

/** By name; sorted again only after a change, and then nearly sorted already. */
class SortedList<T extends ParsedObject> {
  readonly #byPlace = new Map<string, T>();
  #sorted: readonly T[] | undefined = [];

  set(object: T): void {
    this.#byPlace.set(placeOf(object), object);
    this.#sorted = undefined;
  }

  delete(object: T): void {
    this.#byPlace.delete(placeOf(object));
    this.#sorted = undefined;
  }

  get sorted(): readonly T[] {
    this.#sorted ??= [...this.#byPlace]
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
      .map(([, object]) => object);
    return this.#sorted;
  }
}

/** How many objects are in each namespace. */
class NamedNamespaces {
  readonly #counts = new Map<string, number>();
  #sorted: readonly string[] | undefined = [];

  replace(before: string | undefined, after: string | undefined): void {
    if (before === after) return;
    this.#count(before, -1);
    this.#count(after, 1);
  }

  get sorted(): readonly string[] {
    this.#sorted ??= [...this.#counts.keys()].toSorted();
    return this.#sorted;
  }

  #count(name: string | undefined, change: number): void {
    if (name === undefined) return;
    const count = (this.#counts.get(name) ?? 0) + change;
    if (count === 0 || !this.#counts.has(name)) this.#sorted = undefined;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}

function namespaceOf(object: ParsedObject | undefined): string | undefined {
  return object !== undefined && 'namespace' in object ? object.namespace : undefined;
}
