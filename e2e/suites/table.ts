/** Every suite that `npm run e2e` knows. A new one is added here. */
import { join } from 'node:path';
import { defaults, runDifferential } from '../differential/run.ts';
import { chartSuite } from '../chart/suite.ts';
import { kubeSource } from '../kube-source/suite.ts';
import type { CniKind } from '../cluster/node-config.ts';
import type { ClusterSuite, LoneSuite, Suite, SuiteContext } from './suite.ts';
import { runBeside } from './own/beside.ts';
import { runOwn } from './own/own.ts';
import type { Choice } from './upstream.ts';
import { choiceOf, runUpstream } from './upstream.ts';

/** No kernel here has SCTP sockets; what speaks SCTP through them cannot be tried. */
const withoutSctp = String.raw`SCTPConnectivity|using SCTP`;

const netpol = upstreamSuite('netpol', ['ptp', 'bridge'], {
  focus: String.raw`\[sig-network\] Netpol `,
  skip: withoutSctp,
});

const service = upstreamSuite('service', ['ptp'], {
  focus: String.raw`\[sig-network\] (Services|Networking|EndpointSlice|EndpointSliceMirroring|Conntrack|KubeProxy|DNS|HostPort|Service endpoints latency) `,
  // The cluster has IPv4 alone and no cloud; [Disruptive] restarts a kube-proxy or an API server by ssh. What needs a cloud's load
  // balancer, several zones or more nodes skips itself, and says so.
  skip: String.raw`${withoutSctp}|\[Disruptive\]|\[Feature:|\[Alpha\]|DualStack|IPv6`,
});

/** Sluice's Services beside the real kube-proxy's, through a real API server; no cluster. */
const differential: LoneSuite = {
  name: 'differential',
  runAlone: async ({ isFull, progress }) => {
    const started = performance.now();
    const lines: string[] = [];
    const isGreen = await runDifferential(isFull ? { ...defaults, clusters: 200 } : defaults, (line) => {
      lines.push(line);
      progress(line);
    });
    const seconds = (performance.now() - started) / 1000;
    const name = 'seeded clusters, compared with the real kube-proxy';
    return [
      isGreen ? { name, outcome: 'passed', seconds } : { name, outcome: 'failed', seconds, message: lines.join('; ') },
    ];
  },
};

const own: ClusterSuite = { name: 'own', cnis: ['ptp'], run: runOwn };

/** On a cluster that kube-proxy serves: Sluice as an add-on beside it, in its place, and away again. */
const beside: ClusterSuite = { name: 'beside', cnis: ['ptp'], entersNodes: true, proxy: 'kube-proxy', run: runBeside };

export const suites: readonly Suite[] = [own, beside, netpol, service, chartSuite, differential, kubeSource];

/** Its list by default; all of it, or what of all of it is asked for, else. */
function upstreamSuite(name: string, cnis: readonly CniKind[], whole: Choice): ClusterSuite {
  const choose = ({ focus, isFull }: SuiteContext): Choice => {
    if (focus !== undefined) return { ...whole, focus: `${whole.focus}.*(${focus})` };
    return isFull ? whole : choiceOf(list(name));
  };
  return { name, cnis, run: async (context) => runUpstream(context, choose(context)) };
}

function list(name: string): string {
  return join(import.meta.dirname, `${name}.txt`);
}
