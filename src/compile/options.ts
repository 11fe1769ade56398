/** The choices of an administrator that decide what is rendered (interface.md, agent configuration). */
import type { ServiceOptions } from '../service/options.ts';
import type { Cidr, IpFamily } from '../lib/ip.ts';

export interface CompileOptions {
  readonly nodeName: string;
  readonly ipFamilies: readonly IpFamily[];
  readonly podStart: 'closed' | 'open';
  readonly established: 'cut' | 'keep';
  readonly hostEgress: 'policed' | 'allowed';
  readonly hostEndpointAction: 'return' | 'drop';
  readonly invalidDrop: boolean;
  /** Interface prefixes that belong to pods alone: unknown interfaces with them are dropped. */
  readonly interfacePrefixes: readonly string[];
  /** Pod networks of the whole cluster: what they send out of it gets the node's address. Absent: it keeps the pod's. */
  readonly natOutgoing?: readonly Cidr[];
  /** Absent: Services are somebody else's. */
  readonly services?: ServiceOptions;
}
