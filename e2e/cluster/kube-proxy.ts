/** The real kube-proxy on every node: the peer that the Service suites are compared with. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, buildAll } from '../build/build.ts';
import type { Cluster } from './cluster.ts';

/** Starts kube-proxy (iptables mode) on every node. */
export async function startKubeProxy(cluster: Cluster): Promise<void> {
  await buildAll(['kube-proxy'], () => undefined);
  const { controlPlane, topology } = cluster;
  const kubeconfig = await controlPlane.kubeconfigFor('kube-proxy', { user: 'system:kube-proxy' });
  for (const node of cluster.nodes) {
    const file = join(controlPlane.directory, `kube-proxy-${node.place.name}.json`);
    const config = {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: 'iptables',
      hostnameOverride: node.place.name,
      clientConnection: { kubeconfig },
      clusterCIDR: topology.podCidr,
      // Not to be set in a network namespace; and no right to lower the score.
      conntrack: { maxPerCore: 0, min: 0 },
      oomScoreAdj: 0,
    };
    writeFileSync(file, JSON.stringify(config));
    node.start('kube-proxy', [binary('kube-proxy'), `--config=${file}`]);
  }
}
