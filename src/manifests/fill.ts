/** What a cluster would fill in: what the files state wins, the rest is the first free value from a hash of the name, and stays. */
import type { ClusterObject, EndpointSlice, Namespace, Node, Pod, Service } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { ClusterDefaults } from './defaults.ts';
import { NodeFiller } from './fill-nodes.ts';
import { PodFiller } from './fill-pods.ts';
import type { FilledService } from './fill-services.ts';
import { ServiceFiller } from './fill-services.ts';
import { SliceFiller } from './fill-slices.ts';
import { MadeObjects } from './memory.ts';
import type { ParsedObject, ParsedPod } from './parsed.ts';
import { namespaceLabels } from './read-node.ts';
import { RepeatedRound } from './repeated-round.ts';
import type { ObjectsByKind } from './sorted-kinds.ts';
import { SortedKinds } from './sorted-kinds.ts';

export interface FilledCluster {
  readonly objects: readonly ClusterObject[];
  /** The same kind by kind: a list that is the very same array as before holds the very same objects. */
  readonly lists: readonly (readonly ClusterObject[])[];
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Fills in whole clusters, one after the other, and remembers what it gave: an object that is new renumbers nobody.
 * An object of which nothing changed comes out as the very same object.
 */
export class ClusterFiller {
  readonly #namespaces = new MadeObjects<Namespace>();
  readonly #nodes: NodeFiller;
  readonly #pods: PodFiller;
  readonly #services: ServiceFiller;
  readonly #slices = new SliceFiller();
  readonly #namespaceRounds = new RepeatedRound<readonly Namespace[]>();
  readonly #expanded = new RepeatedRound<readonly ParsedPod[]>();
  readonly #nodeRounds = new RepeatedRound<readonly Node[]>();
  readonly #podRounds = new RepeatedRound<readonly Pod[]>();
  readonly #serviceRounds = new RepeatedRound<readonly FilledService[]>();
  readonly #plainServices = new RepeatedRound<readonly Service[]>();
  readonly #sliceRounds = new RepeatedRound<readonly EndpointSlice[]>();

  constructor(defaults: ClusterDefaults) {
    this.#nodes = new NodeFiller(defaults);
    this.#pods = new PodFiller(defaults);
    this.#services = new ServiceFiller(defaults);
  }

  /** The same objects in another order give the same cluster. No two of them have one identity. */
  fill(objects: readonly ParsedObject[]): FilledCluster {
    const kinds = new SortedKinds();
    for (const object of objects) kinds.replace(undefined, object);
    return this.fillKinds(kinds.lists);
  }

  /** The same for objects that are sorted already. What depends on lists that are the very same ones as in the call before is not made again. */
  fillKinds(stated: ObjectsByKind): FilledCluster {
    const expanded = this.#expanded.of([stated.pods, stated.deployments], (report) =>
      this.#pods.expand(stated.pods, stated.deployments, report),
    );
    const nodes = this.#nodeRounds.of([stated.nodes, expanded.made], (report) =>
      this.#nodes.fill(stated.nodes, new Set(expanded.made.flatMap((pod) => pod.nodeName ?? [])), report),
    );
    const pods = this.#podRounds.of([expanded.made, nodes.made], (report) =>
      this.#pods.fill(expanded.made, nodes.made, report),
    );
    const services = this.#serviceRounds.of([stated.services, stated.serviceCidrs], (report) =>
      this.#services.fill(stated.services, stated.serviceCidrs, report),
    );
    const slices = this.#sliceRounds.of([services.made, stated.slices, pods.made, nodes.made], () =>
      this.#slices.fill(services.made, stated.slices, { pods: pods.made, nodes: nodes.made }),
    );
    const namespaces = this.#namespaceRounds.of([stated.namespaces, stated.namedNamespaces], () =>
      this.#allNamespaces(stated),
    );
    const lists = [
      namespaces.made,
      nodes.made,
      pods.made,
      this.#plainServices.of([services.made], () => services.made.map(({ service }) => service)).made,
      slices.made,
      stated.policies,
      stated.serviceCidrs,
    ];
    const rounds = [expanded, nodes, pods, services];
    return { lists, objects: lists.flat(), diagnostics: rounds.flatMap(({ diagnostics }) => diagnostics) };
  }

  /** A namespace that is only named exists. */
  #allNamespaces({ namespaces: stated, namedNamespaces }: ObjectsByKind): readonly Namespace[] {
    const known = new Set(stated.map(({ name }) => name));
    const missing = namedNamespaces.filter((name) => !known.has(name));
    const made = missing.map((name) =>
      this.#namespaces.of(name, [], () => ({ kind: 'Namespace', name, labels: namespaceLabels(name, {}) })),
    );
    this.#namespaces.endRound();
    return [...stated, ...made];
  }
}
