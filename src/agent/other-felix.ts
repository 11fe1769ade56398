/** Whether Calico's Felix enforces policy on this node: it writes chains of the same names, and takes away those that it did not write. */
import type { Run } from '../backends/exec.ts';
import type { IptablesVariant } from '../backends/iptables/variant.ts';
import { askLoopback, findProcess } from './other-programs.ts';

export interface FelixSurroundings {
  /** Felix's `healthPort`. */
  readonly healthPort: number;
  /** Felix's `prometheusMetricsPort`. */
  readonly metricsPort: number;
  readonly procDirectory: string;
}

const usual: FelixSurroundings = { healthPort: 9099, metricsPort: 9091, procDirectory: '/proc' };

/**
 * How a live Felix shows; undefined: there is none. Its chains alone tell nothing: they stay when it ends, and then they are
 * cleared away like old ones of ours. They only confirm that what answers on its health port is Felix.
 */
export async function findFelix(
  { run, variant }: { readonly run: Run; readonly variant: IptablesVariant },
  around: Partial<FelixSurroundings> = {},
): Promise<string | undefined> {
  const { healthPort, metricsPort, procDirectory } = { ...usual, ...around };
  const pid = findProcess(procDirectory, isFelix);
  const [metrics, health] = await Promise.all([
    askLoopback(metricsPort, '/metrics'),
    askLoopback(healthPort, '/liveness'),
  ]);
  if (pid !== undefined) return `process ${pid}`;
  if (metrics !== undefined && /^felix_/m.test(metrics.body)) return `it answers on 127.0.0.1:${metricsPort}/metrics`;
  if (health === undefined || !healthStatuses.has(health.status)) return undefined;
  const { stdout } = await run([`iptables-${variant}-save`, '-t', 'filter']);
  const chain = felixOnly.exec(stdout)?.[1];
  if (chain === undefined) return undefined;
  return `it answers on 127.0.0.1:${healthPort}/liveness, and its chain ${chain} is in table filter`;
}

/** What to tell whoever starts us beside one. */
export function felixRefusal(evidence: string): string {
  return (
    `Calico's Felix enforces policy on this node (${evidence}), and two of them would take away each other's chains: ` +
    'take it away first (kubectl -n kube-system delete daemonset calico-node; where the Tigera operator runs it, ' +
    'kubectl delete installation default), and this agent takes its rules over without opening anything; or do not run Sluice on nodes with Calico'
  );
}

/** `calico-node -felix`, whose other halves have other arguments; by itself it is called calico-felix. */
function isFelix(name: string, args: () => readonly string[]): boolean {
  return name === 'calico-felix' || (name === 'calico-node' && args().includes('-felix'));
}

/** 503: it is not well, but there. */
const healthStatuses: ReadonlySet<number> = new Set([200, 204, 503]);

/** Of its fixed layout, and never of ours. */
const felixOnly =
  /^:(cali-(?:failsafe-in|failsafe-out|cidr-block|set-endpoint-mark|from-host-endpoint|to-host-endpoint)) /m;
