/** Puts Sluice on a cluster as its users do: the image loaded into every node, the chart installed by the real helm. */
import { join } from 'node:path';
import { archiveFile, buildImage } from '../../image/build.ts';
import { run } from '../../src/backends/exec.ts';
import type { Progress } from '../build/build.ts';
import { binary, buildAll } from '../build/build.ts';
import type { Cluster } from '../cluster/cluster.ts';

const chart = join(import.meta.dirname, '..', '..', 'charts', 'sluice');

/** Builds Sluice's image (layers are cached) and helm; the image's OCI archive. */
export async function prepareSluice(progress: Progress): Promise<string> {
  await buildAll(['helm'], progress);
  const { file } = await buildImage(archiveFile, progress);
  return file;
}

/** Values of the chart by which Sluice serves Services. */
export function servingValues({ topology }: Pick<Cluster, 'topology'>): readonly string[] {
  return ['serviceProxy.enabled=true', `apiServer.host=${topology.rootAddress}`, 'apiServer.port=6443'];
}

/** Values of the chart for a cluster without kube-proxy. */
function valuesFor(cluster: Pick<Cluster, 'topology'>): readonly string[] {
  const { topology } = cluster;
  return [
    'image.pullPolicy=Never',
    ...servingValues(cluster),
    `config.clusterCidrs={${topology.podCidr}}`,
    'config.logLevel=debug',
  ];
}

/** `helm upgrade --install`: returns when an agent is ready on every node. The answer is helm's own text. */
export async function installSluice(cluster: Cluster, values = valuesFor(cluster)): Promise<string> {
  const sets = values.flatMap((value) => ['--set', value]);
  const answer = await helm(cluster, ['upgrade', '--install', 'sluice', chart, ...sets]);
  await agentsReady(cluster);
  return answer;
}

/** `helm upgrade --reuse-values`; with `wait`, the default, returns when an agent is ready on every node. helm's own `--wait` is content with all but one. */
export async function upgradeSluice(
  cluster: Cluster,
  values: readonly string[],
  { wait = true } = {},
): Promise<string> {
  const sets = values.flatMap((value) => ['--set', value]);
  const answer = await helm(cluster, ['upgrade', 'sluice', chart, '--reuse-values', ...sets]);
  if (wait) await agentsReady(cluster);
  return answer;
}

/** Returns when every node has an agent of the newest version, ready. */
export async function agentsReady({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  await kubectl(['-n', 'kube-system', 'rollout', 'status', 'daemonset/sluice', '--timeout=180s']);
}

export async function uninstallSluice(cluster: Cluster): Promise<string> {
  return helm(cluster, ['uninstall', 'sluice', '--wait', '--timeout=120s']);
}

/** helm in the namespace that Sluice is installed in; its standard output. */
export async function helm(cluster: Pick<Cluster, 'kubeconfig' | 'inside'>, args: readonly string[]): Promise<string> {
  const access = [`--kubeconfig=${cluster.kubeconfig}`, '--namespace=kube-system'];
  const argv = cluster.inside([binary('helm'), ...args, ...access]);
  return (await run(argv, { timeoutMs: 300_000 })).stdout;
}
