/** The node's own network, as the agent needs it: read when asked, with word of every change. */
import type { NodeFacts } from '../dataplane/endpoint-binding.ts';
import type { IpAddress } from '../lib/ip.ts';

export interface NodeWatch {
  /** `addresses`: of this node's pods, whose way in and out is asked for. */
  read(addresses: readonly IpAddress[]): Promise<NodeFacts>;
  /** Yields after each change of links, routes or neighbours; ends when `signal` aborts. */
  changes(signal: AbortSignal): AsyncIterable<unknown>;
  /** Kernel settings that policy depends on have no events: looked at every few seconds, and set again. */
  checkSettings?(): Promise<void>;
}
