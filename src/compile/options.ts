/** The choices of an administrator that decide what is rendered (interface.md, agent configuration). */
import type { ServiceOptions } from '../service/options.ts';
import type { IpFamily } from '../lib/ip.ts';

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
  /** Absent: Services are somebody else's. */
  readonly services?: ServiceOptions;
}
