/** What a cluster would fill in: what the files state wins, the rest is the first free value from a hash of the name, and stays. */
import type {
  ClusterObject,
  EndpointSlice,
  Namespace,
  NetworkPolicy,
  Node,
  Pod,
  ServiceCidr,
} from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { ClusterDefaults } from './defaults.ts';
import { NodeFiller } from './fill-nodes.ts';
import { PodFiller } from './fill-pods.ts';
import { FillReport } from './fill-report.ts';
import { ServiceFiller } from './fill-services.ts';
import { SliceFiller } from './fill-slices.ts';
import { placeOf } from './keys.ts';
import { MadeObjects, RepeatedRound } from './memory.ts';
import type { ParsedDeployment, ParsedNode, ParsedObject, ParsedPod, ParsedService } from './parsed.ts';
import { namespaceLabels } from './read-node.ts';

export interface FilledCluster {
  readonly objects: readonly ClusterObject[];
  readonly diagnostics: readonly Diagnostic[];
}

interface FilledPods {
  readonly pods: readonly Pod[];
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
  readonly #podRounds = new RepeatedRound<FilledPods>();
  readonly #services: ServiceFiller;
  readonly #slices = new SliceFiller();

  constructor(defaults: ClusterDefaults) {
    this.#nodes = new NodeFiller(defaults);
    this.#pods = new PodFiller(defaults);
    this.#services = new ServiceFiller(defaults);
  }

  /** The same objects in another order give the same cluster. No two of them have one identity. */
  fill(objects: readonly ParsedObject[]): FilledCluster {
    const report = new FillReport();
    const stated = sortByKind(objects);
    const expanded = this.#pods.expand(stated.pods, stated.deployments, report);
    const named = new Set(expanded.flatMap((pod) => pod.nodeName ?? []));
    const nodes = this.#nodes.fill(stated.nodes, named, report);
    const { pods, diagnostics } = this.#podRounds.of([expanded, nodes], () => this.#fillPods(expanded, nodes));
    report.diagnostics.push(...diagnostics);
    const services = this.#services.fill(stated.services, report);
    const slices = this.#slices.fill(services, stated.slices, { pods, nodes });
    const namespaces = this.#allNamespaces(stated.namespaces, objects);
    return {
      objects: [
        ...namespaces,
        ...nodes,
        ...pods,
        ...services.map(({ service }) => service),
        ...slices,
        ...stated.policies,
        ...stated.serviceCidrs,
      ],
      diagnostics: report.diagnostics,
    };
  }

  /** Most changes are of something else: then this costs a comparison. */
  #fillPods(parsed: readonly ParsedPod[], nodes: readonly Node[]): FilledPods {
    const report = new FillReport();
    return { pods: this.#pods.fill(parsed, nodes, report), diagnostics: report.diagnostics };
  }

  /** A namespace that is only named exists. */
  #allNamespaces(stated: readonly Namespace[], objects: readonly ParsedObject[]): readonly Namespace[] {
    const known = new Set(stated.map(({ name }) => name));
    const named = new Set(objects.flatMap((object) => ('namespace' in object ? [object.namespace] : [])));
    const missing = [...named].filter((name) => !known.has(name)).toSorted();
    const made = missing.map((name) =>
      this.#namespaces.of(name, [], () => ({ kind: 'Namespace', name, labels: namespaceLabels(name, {}) })),
    );
    this.#namespaces.endRound();
    return [...stated, ...made];
  }
}

interface ObjectsByKind {
  readonly namespaces: Namespace[];
  readonly nodes: ParsedNode[];
  readonly pods: ParsedPod[];
  readonly deployments: ParsedDeployment[];
  readonly services: ParsedService[];
  readonly slices: EndpointSlice[];
  readonly policies: NetworkPolicy[];
  readonly serviceCidrs: ServiceCidr[];
}

/** Sorted by name, so that values are given in one order whatever the order of the files. */
function sortByKind(objects: readonly ParsedObject[]): ObjectsByKind {
  const result: ObjectsByKind = {
    namespaces: [],
    nodes: [],
    pods: [],
    deployments: [],
    services: [],
    slices: [],
    policies: [],
    serviceCidrs: [],
  };
  const keyed = objects.map((object) => ({ object, key: placeOf(object) }));
  keyed.sort((left, right) => (left.key < right.key ? -1 : 1));
  for (const { object } of keyed) addTo(result, object);
  return result;
}

function addTo(result: ObjectsByKind, object: ParsedObject): void {
  switch (object.kind) {
    case 'Namespace':
      result.namespaces.push(object);
      break;
    case 'Node':
      result.nodes.push(object);
      break;
    case 'Pod':
      result.pods.push(object);
      break;
    case 'Deployment':
      result.deployments.push(object);
      break;
    case 'Service':
      result.services.push(object);
      break;
    case 'EndpointSlice':
      result.slices.push(object);
      break;
    case 'NetworkPolicy':
      result.policies.push(object);
      break;
    case 'ServiceCIDR':
      result.serviceCidrs.push(object);
      break;
    default:
      unreachable(object);
  }
}
