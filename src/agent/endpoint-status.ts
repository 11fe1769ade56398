/** The pods of this node, and which of them are in the kernel. */
import type { Refusal } from '../backends/refusals.ts';
import type { BoundEndpoint } from '../compile/bound-endpoint.ts';
import type { Compiler } from '../compile/compiler.ts';
import { fromWorkloadChain, toWorkloadChain } from '../dataplane/names.ts';
import { sameValue } from '../lib/same-value.ts';
import type { EndpointStatus } from '../telemetry/status.ts';

/** What the last successful write left in the kernel. */
export interface Programmed {
  /** By pod key. */
  readonly endpoints: ReadonlyMap<string, BoundEndpoint>;
  /** By pod key: ISO 8601, when it came to be as it is. */
  readonly since: ReadonlyMap<string, string>;
  readonly refused: readonly Refusal[];
}

/** Sorted by pod. */
export function endpointStatuses(
  compiler: Pick<Compiler, 'policyPlan' | 'endpoints'> | undefined,
  programmed: Programmed,
): readonly EndpointStatus[] {
  if (compiler === undefined) return [];
  const keys = [...compiler.policyPlan.endpoints.keys()].sort();
  return keys.flatMap((key) => {
    const planned = compiler.policyPlan.endpoints.get(key);
    if (planned === undefined) return [];
    const bound = compiler.endpoints.get(key);
    const reason = reasonNotProgrammed(bound, programmed);
    const since = programmed.since.get(key);
    return {
      pod: key,
      addresses: planned.pod.ips,
      ...(bound?.interface === undefined ? {} : { interface: bound.interface }),
      programmed: reason === undefined,
      ...(reason === undefined && since !== undefined ? { programmedSince: since } : {}),
      ...(reason === undefined ? {} : { reason }),
      ingress: planned.ingress,
      egress: planned.egress,
      profiles: planned.profiles,
    };
  });
}

/** What the kernel holds from `now` on; a pod that is as it was before keeps its time. */
export function programmedNow(
  before: Programmed,
  endpoints: ReadonlyMap<string, BoundEndpoint>,
  now: Date,
): Pick<Programmed, 'endpoints' | 'since'> {
  const since = new Map<string, string>();
  for (const [key, bound] of endpoints) {
    const known = before.endpoints.get(key);
    const isSame = known === bound || (known !== undefined && sameValue(known, bound));
    since.set(key, (isSame ? before.since.get(key) : undefined) ?? now.toISOString());
  }
  return { endpoints, since };
}

function reasonNotProgrammed(bound: BoundEndpoint | undefined, programmed: Programmed): string | undefined {
  if (bound === undefined) return 'no interface leads to its address yet';
  // As it is now, not as it was before its interface or its policies changed.
  if (!sameValue(programmed.endpoints.get(bound.key), bound)) return 'not written to the kernel yet';
  const own = new Set<string>([toWorkloadChain(bound.chainSuffix), fromWorkloadChain(bound.chainSuffix)]);
  const refused = programmed.refused.find((refusal) => refusal.kind === 'chain' && own.has(refusal.chain.name));
  return refused === undefined ? undefined : `the kernel refused its chain: ${refused.message}`;
}
