/** Whether a kube-proxy serves Services on this node: two of them would undo each other's rules. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';

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
  const [health, mode, pid] = await Promise.all([
    ask(healthPort, '/healthz'),
    ask(metricsPort, '/proxyMode'),
    findProcess(procDirectory),
  ]);
  // It answers 200 or 503, always as JSON that has this key.
  if (health?.includes('lastUpdated') === true) return `it answers on 127.0.0.1:${healthPort}/healthz`;
  if (mode !== undefined && proxyModes.test(mode)) return `it answers on 127.0.0.1:${metricsPort}/proxyMode`;
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

/** Of this network namespace: another one has rules of its own. */
async function findProcess(procDirectory: string): Promise<string | undefined> {
  const own = await linkOf(join(procDirectory, 'self', 'ns', 'net'));
  const pids = (await readdir(procDirectory)).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const name = await readFile(join(procDirectory, pid, 'comm'), 'utf8').catch(() => '');
    if (name.trim() !== 'kube-proxy') continue;
    const netns = await linkOf(join(procDirectory, pid, 'ns', 'net'));
    if (netns !== undefined && netns === own) return pid;
  }
  return undefined;
}

/** Undefined: the process has just gone, or is not ours to look at. */
function linkOf(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}

function ask(port: number, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, timeout: 1000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
      response.on('error', () => resolve(undefined));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(undefined));
    sent.end();
  });
}
