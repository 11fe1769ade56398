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
    return {
      pod: key,
      addresses: planned.pod.ips,
      ...(bound?.interface === undefined ? {} : { interface: bound.interface }),
      programmed: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
      ingress: planned.ingress,
      egress: planned.egress,
      profiles: planned.profiles,
    };
  });
}

function reasonNotProgrammed(bound: BoundEndpoint | undefined, programmed: Programmed): string | undefined {
  if (bound === undefined) return 'no interface leads to its address yet';
  // As it is now, not as it was before its interface or its policies changed.
  if (!sameValue(programmed.endpoints.get(bound.key), bound)) return 'not written to the kernel yet';
  const own = new Set<string>([toWorkloadChain(bound.chainSuffix), fromWorkloadChain(bound.chainSuffix)]);
  const refused = programmed.refused.find((refusal) => refusal.kind === 'chain' && own.has(refusal.chain.name));
  return refused === undefined ? undefined : `the kernel refused its chain: ${refused.message}`;
}
