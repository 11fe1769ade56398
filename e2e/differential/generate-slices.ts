/** EndpointSlices in every shape that the API allows: several of one Service, endpoints twice, ports that fit nothing. */
import type { IpFamily } from '../../src/lib/ip.ts';
import { familyName } from '../../src/lib/ip.ts';
import type { ApiEndpoint, ApiService, ApiSlice, ApiSlicePort } from './api-objects.ts';
import type { Random } from './random.ts';
import type { Machine } from './topology.ts';
import { ghost, hostPod, localPods, nodeName, otherNodeName, remotePods, zones } from './topology.ts';

type HintMode = 'none' | 'zones' | 'nodes' | 'both' | 'some';

/** What the endpoints of one Service have in common. */
interface Habits {
  readonly random: Random;
  readonly service: ApiService;
  readonly hints: HintMode;
  /** What endpoints are like: all ready, some of each, or none ready. */
  readonly health: 'ready' | 'mixed' | 'ending' | 'down';
}

/** The slices of `service`, in every family that it could have. */
export function generateSlices(random: Random, service: ApiService): readonly ApiSlice[] {
  if (random.chance(0.08)) return [];
  const habits: Habits = {
    random,
    service,
    hints: random.weighted([
      [10, 'none'],
      [3, 'zones'],
      [2, 'nodes'],
      [2, 'both'],
      [2, 'some'],
    ]),
    health: random.weighted([
      [10, 'ready'],
      [6, 'mixed'],
      [3, 'ending'],
      [1, 'down'],
    ]),
  };
  const slices = (['ipv4', 'ipv6'] as const).flatMap((family) => slicesOf(habits, family));
  return random.chance(0.03) ? [...slices, fqdnSlice(service)] : slices;
}

function slicesOf(habits: Habits, family: IpFamily): readonly ApiSlice[] {
  const { random } = habits;
  const machines = machinesFor(random);
  const count = random.weighted([
    [6, 1],
    [3, 2],
    [1, 3],
  ]);
  const groups = Array.from({ length: count }, (_, index) => machines.filter((_machine, at) => at % count === index));
  const slices = groups.map((group, index) =>
    sliceOf(
      habits,
      { family, index },
      group.map((machine) => endpointOf(habits, machine, family)),
    ),
  );
  return withDoubles(random, slices);
}

/** Nobody twice. Ghosts are many where the draw is to become a tree. */
function machinesFor(random: Random): readonly Machine[] {
  const real = random.shuffled([...localPods, ...remotePods, hostPod]);
  const kind = random.weighted([
    [10, 'real'],
    [3, 'local'],
    [3, 'remote'],
    [1, 'many'],
  ]);
  switch (kind) {
    case 'local':
      return localPods.slice(0, random.integer(1, localPods.length));
    case 'remote':
      return remotePods.slice(0, random.integer(1, remotePods.length));
    case 'many': {
      const ghosts = Array.from({ length: random.integer(6, 30) }, (_, index) =>
        ghost(index, index % 3 === 0 ? nodeName : otherNodeName),
      );
      return [...real.slice(0, 3), ...ghosts];
    }
    default:
      return real.slice(0, random.integer(0, 5));
  }
}

function endpointOf(habits: Habits, machine: Machine, family: IpFamily): ApiEndpoint {
  const { random } = habits;
  const conditions = conditionsOf(habits);
  const hints = hintsOf(habits);
  const address = machine.addresses[family];
  return {
    // Only the first address counts.
    addresses: random.chance(0.05) ? [address, remotePods[2]?.addresses[family] ?? address] : [address],
    ...(conditions === undefined ? {} : { conditions }),
    ...(random.chance(0.1) ? {} : { nodeName: machine.node }),
    ...(hints === undefined ? {} : { hints }),
  };
}

function conditionsOf({ random, health }: Habits): ApiEndpoint['conditions'] {
  const ready = { ready: true, serving: true, terminating: false };
  const notReady = { ready: false, serving: false, terminating: false };
  const ending = { ready: false, serving: true, terminating: true };
  const gone = { ready: false, serving: false, terminating: true };
  switch (health) {
    case 'ready':
      return random.weighted<ApiEndpoint['conditions']>([
        [4, ready],
        [1, undefined],
        [1, { ready: true }],
      ]);
    case 'mixed':
      return random.weighted<ApiEndpoint['conditions']>([
        [4, ready],
        [2, notReady],
        [2, ending],
        [1, gone],
        [1, { ready: true, serving: true, terminating: true }],
        [1, { ready: false }],
        [1, { terminating: true }],
      ]);
    case 'ending':
      return random.weighted([
        [3, ending],
        [2, gone],
        [1, notReady],
      ]);
    default:
      return random.chance(0.5) ? notReady : gone;
  }
}

function hintsOf({ random, hints }: Habits): ApiEndpoint['hints'] {
  const forZones = [{ name: random.pick(zones) }];
  const forNodes = [{ name: random.pick([nodeName, otherNodeName]) }];
  switch (hints) {
    case 'zones':
      return { forZones };
    case 'nodes':
      return { forNodes };
    case 'both':
      return { forZones, forNodes };
    case 'some':
      return random.chance(0.7) ? { forZones, ...(random.chance(0.5) ? { forNodes } : {}) } : undefined;
    default:
      return undefined;
  }
}

interface Place {
  readonly family: IpFamily;
  readonly index: number;
}

function sliceOf({ random, service }: Habits, place: Place, endpoints: readonly ApiEndpoint[]): ApiSlice {
  const { name, namespace = '' } = service.metadata;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-${place.family}-${place.index}`, namespace, labels: labelsOf(random, name) },
    addressType: familyName(place.family),
    ports: (service.spec.ports ?? []).flatMap((port) => slicePorts(random, port, place.index)),
    endpoints,
  };
}

/** Now and then the slice is nobody's, or a headless Service's. */
function labelsOf(random: Random, service: string): Readonly<Record<string, string>> {
  if (random.chance(0.02)) return {};
  const owned = { 'kubernetes.io/service-name': service };
  return random.chance(0.03) ? { ...owned, 'service.kubernetes.io/headless': '' } : owned;
}

/** A name or protocol that is not the Service's matches nothing; a named targetPort differs from slice to slice. */
function slicePorts(
  random: Random,
  { name, protocol }: { readonly name?: string; readonly protocol: ApiSlicePort['protocol'] },
  index: number,
): readonly ApiSlicePort[] {
  const own = name === undefined ? {} : { name };
  const usual = protocol === 'UDP' ? [8080, 5353] : [8080, 9090];
  const port = random.chance(0.1) ? 7 + index : random.pick(usual);
  const odd = random.weighted([
    [40, 'fits'],
    [1, 'missing'],
    [1, 'name'],
    [1, 'protocol'],
    [1, 'every'],
  ]);
  switch (odd) {
    case 'missing':
      return [];
    case 'name':
      return [{ name: `${name ?? 'odd'}x`, protocol, port }];
    case 'protocol':
      return [{ ...own, protocol: protocol === 'TCP' ? 'UDP' : 'TCP', port }];
    case 'every':
      return [{ ...own, protocol }];
    default:
      return [{ ...own, protocol, port }];
  }
}

/** An endpoint in a second slice too: the same, or as a terminating pod that had the address before. */
function withDoubles(random: Random, slices: readonly ApiSlice[]): readonly ApiSlice[] {
  const [first, second, ...rest] = slices;
  const doubled = first?.endpoints[0];
  if (first === undefined || second === undefined || doubled === undefined || !random.chance(0.4)) return slices;
  // Two that both terminate, or neither, and differ: which one counts is not defined.
  const former = { ...doubled, conditions: { ready: false, serving: random.chance(0.5), terminating: true } };
  const mayDiffer = doubled.conditions?.terminating !== true && random.chance(0.5);
  return [first, { ...second, endpoints: [...second.endpoints, mayDiffer ? former : doubled] }, ...rest];
}

function fqdnSlice({ metadata: { name, namespace = '' } }: ApiService): ApiSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-fqdn`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'FQDN',
    ports: [{ protocol: 'TCP', port: 80 }],
    endpoints: [{ addresses: ['backend.example.com'] }],
  };
}
