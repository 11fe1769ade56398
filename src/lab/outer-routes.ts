/**
 * The lab's router sends external and load balancer addresses of Services to a node, as whoever runs a real network does;
 * with policy Local to one that has an endpoint, as a balancer's health checks would find.
 */
import { entryNodes } from '../cluster/service-names.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { IpAddress } from '../lib/ip.ts';
import { bitsOf, familyOf } from '../lib/ip.ts';
import { runBatch } from './network.ts';
import type { LabPlan } from './plan.ts';
import { addressOf } from './plan.ts';

/** Address to the node's address that it goes by. */
export type OuterRouteTable = ReadonlyMap<IpAddress, IpAddress>;

export class OuterRoutes {
  #present: OuterRouteTable = new Map();

  async follow(state: ClusterState, plan: LabPlan): Promise<void> {
    const wanted = outerRoutes(state, plan);
    await runBatch({ netns: plan.underlay.netns, lines: outerRouteLines(this.#present, wanted) });
    this.#present = wanted;
  }
}

/** Of two Services with one address the first by name; an address of a node, a pod or a client is left to its owner. */
export function outerRoutes(state: ClusterState, plan: LabPlan): OuterRouteTable {
  const machines = [...plan.nodes.values(), ...plan.pods.values(), plan.outside, plan.underlay];
  const owned = new Set(machines.flatMap(({ addresses }) => addresses));
  const routes = new Map<IpAddress, IpAddress>();
  const services = [...state.services].sort(([left], [right]) => (left < right ? -1 : 1));
  for (const [, service] of services) {
    const entry = entryNodes(state, service)[0] ?? '';
    const balanced = service.loadBalancerIngress.filter(({ ipMode }) => ipMode === 'VIP').map(({ ip }) => ip);
    for (const address of [...service.externalIps, ...balanced]) {
      const via = addressOf(plan.nodes.get(entry)?.addresses ?? [], familyOf(address));
      if (via !== undefined && !owned.has(address) && !routes.has(address)) routes.set(address, via);
    }
  }
  return routes;
}

/** For `ip -batch` in the router's namespace. */
export function outerRouteLines(present: OuterRouteTable, wanted: OuterRouteTable): readonly string[] {
  const gone = [...present.keys()].filter((address) => !wanted.has(address));
  const changed = [...wanted].filter(([address, via]) => present.get(address) !== via);
  return [
    ...gone.map((address) => `route del ${hostPrefix(address)}`),
    ...changed.map(([address, via]) => `route replace ${hostPrefix(address)} via ${via} dev br0 onlink`),
  ];
}

function hostPrefix(address: IpAddress): string {
  return `${address}/${bitsOf(familyOf(address))}`;
}
