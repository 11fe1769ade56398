/** Every suite that `npm run e2e` knows. A new one is added here. */
import { join } from 'node:path';
import type { Suite } from './suite.ts';
import { choiceOf, runUpstream } from './upstream.ts';

/** No kernel here has SCTP sockets; what speaks SCTP through them cannot be tried. */
const withoutSctp = String.raw`SCTPConnectivity|using SCTP`;

const netpol: Suite = {
  name: 'netpol',
  cnis: ['ptp', 'bridge'],
  run: async (context) =>
    runUpstream(
      context,
      context.isFull ? { focus: String.raw`\[sig-network\] Netpol `, skip: withoutSctp } : choiceOf(list('netpol')),
    ),
};

const service: Suite = {
  name: 'service',
  cnis: ['ptp'],
  run: async (context) =>
    runUpstream(
      context,
      context.isFull
        ? {
            focus: String.raw`\[sig-network\] (Services|Networking|EndpointSlice|EndpointSliceMirroring|Conntrack|KubeProxy|DNS|HostPort|Service endpoints latency) `,
            skip: String.raw`${withoutSctp}|\[Disruptive\]|\[Serial\]|\[Feature:|\[Alpha\]|\[Slow\]|LoadBalancer|DualStack|IPv6`,
          }
        : choiceOf(list('service')),
    ),
};

export const suites: readonly Suite[] = [netpol, service];

function list(name: string): string {
  return join(import.meta.dirname, `${name}.txt`);
}
