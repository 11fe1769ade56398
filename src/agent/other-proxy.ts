/** Whether a kube-proxy serves Services on this node: two of them would undo each other's rules. */
import { ownWord } from '../server/node-health.ts';
import { askLoopback, findProcess } from './other-programs.ts';

export interface Surroundings {
  /** kube-proxy's `healthzBindAddress`. */
  readonly healthPort: number;
  /** kube-proxy's `metricsBindAddress`. */
  readonly metricsPort: number;
  readonly procDirectory: string;
}

const usual: Surroundings = { healthPort: 10_256, metricsPort: 10_249, procDirectory: '/proc' };

/**
 * How a live kube-proxy shows; undefined: there is none. Its chains tell nothing: they stay when it ends. One in a pod
 * is seen by its ports, because a process of another PID namespace is not.
 */
export async function findKubeProxy(around: Partial<Surroundings> = {}): Promise<string | undefined> {
  const { healthPort, metricsPort, procDirectory } = { ...usual, ...around };
  const pid = findProcess(procDirectory, (name) => name === 'kube-proxy');
  const [health, mode] = await Promise.all([
    askLoopback(healthPort, '/healthz'),
    askLoopback(metricsPort, '/proxyMode'),
  ]);
  // An agent of ours that is ending still answers on both ports.
  const isOurs = health?.body.includes(`"servedBy":"${ownWord}"`) === true;
  // It answers 200 or 503, always as JSON that has this key.
  if (!isOurs && health?.body.includes('lastUpdated') === true) return `it answers on 127.0.0.1:${healthPort}/healthz`;
  if (!isOurs && mode !== undefined && proxyModes.test(mode.body))
    return `it answers on 127.0.0.1:${metricsPort}/proxyMode`;
  return pid === undefined ? undefined : `process ${pid}`;
}

/** What to tell whoever asked for Services to be served beside one. */
export function kubeProxyRefusal(evidence: string): string {
  return (
    `kube-proxy serves Services on this node (${evidence}), and two of them would undo each other's rules: ` +
    'take it away first (kubectl -n kube-system delete daemonset kube-proxy; with kubeadm, k3s and others disable it there), ' +
    'or leave Services to it: --service-proxy=false'
  );
}

const proxyModes = /^(?:iptables|nftables|ipvs)\s*$/;
