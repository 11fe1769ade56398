/** The sets of a family that do not come from policies. */
import type { IpSet } from '../../dataplane/rule.ts';
import type { IpFamily } from '../../lib/ip.ts';
import type { WorkloadEndpoint } from '../../policy/plan.ts';
import { addressOf, type BoundEndpoint } from '../bound-endpoint.ts';
import type { CompileOptions } from '../options.ts';
import { cutSet, policedSet, programmedSet } from './base-input.ts';
import { natOutgoingSets } from './nat-outgoing.ts';

export interface LocalPods {
  /** Those whose way in and out is known. */
  readonly bound: Iterable<BoundEndpoint>;
  /** All of them: a pod that loses its interface for a moment is no less isolated. */
  readonly planned: Iterable<WorkloadEndpoint>;
}

export function baseSets(family: IpFamily, options: CompileOptions, { bound, planned }: LocalPods): readonly IpSet[] {
  const programmed = new Set<string>();
  for (const endpoint of bound) {
    const address = addressOf(endpoint, family);
    if (address !== undefined && endpoint.bindings[family] !== undefined) programmed.add(address);
  }
  const policed = new Set<string>();
  for (const endpoint of planned) {
    const address = addressOf(endpoint, family);
    if (address !== undefined && endpoint.ingress.length + endpoint.egress.length > 0) policed.add(address);
  }
  const unbound = new Set([...policed].filter((address) => !programmed.has(address)));
  const base = { family, type: 'hash:ip' } as const;
  const sets: IpSet[] = [
    {
      ...base,
      name: programmedSet(family),
      members: programmed,
      origin: { note: 'pods of this node whose chains are in: other addresses of the pod CIDR are closed' },
      gate: true,
    },
    {
      ...base,
      name: policedSet(family),
      members: policed,
      origin: { note: 'pods of this node that a policy isolates: the guard of mangle POSTROUTING' },
      // The guard asks for a mark that only the pod's chains can set: they come first, and go last.
      gate: true,
      // Nothing accepts for a pod without chains: it is held at once, before the chains of one that goes with the same change.
      closing: unbound,
    },
  ];
  if (options.established === 'cut') sets.push(cutSetOf(family));
  if (options.natOutgoing !== undefined) sets.push(...natOutgoingSets(family, options.natOutgoing));
  return sets;
}

function cutSetOf(family: IpFamily): IpSet {
  return {
    name: cutSet(family),
    family,
    type: 'hash:ip,port,ip',
    members: new Set(),
    dynamic: true,
    origin: { note: '(client, protocol:port, server) of connections that policy has come to deny' },
  };
}
