/** The real kube-proxy, given the bench's own objects by an API server on loopback; its log tells when a change is in the kernel. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { converse } from '../src/backends/exec.ts';
import type { ClusterObject, EndpointSlice, Service } from '../src/cluster/objects.ts';
import { binary } from '../e2e/build/build.ts';
import { FakeApi, writeKubeconfig } from './fake-api.ts';
import { kubernetesObject } from './kubernetes-objects.ts';
import type { MeasuredProxy } from './service-scenario.ts';

export type KubeProxyMode = 'iptables' | 'nftables';

/** Larger than any first sync of a bench. */
const syncTimeoutMs = 300_000;

/** To be called in the namespace of the node. */
export async function startKubeProxy(
  mode: KubeProxyMode,
  nodeName: string,
  objects: Iterable<ClusterObject>,
): Promise<MeasuredProxy & { readonly firstSyncSeconds: number }> {
  const api = new FakeApi([...objects].map(kubernetesObject));
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bench-peer-'));
  const file = join(directory, 'config.json');
  const kubeconfig = writeKubeconfig(directory, await api.listen());
  writeFileSync(file, JSON.stringify(configuration(mode, nodeName, kubeconfig)));
  const syncs = new SyncLines();
  const argv = [binary('kube-proxy'), `--config=${file}`, '-v=2'] as const;
  const first = syncs.next();
  const process = converse(argv, (line) => syncs.read(line), 'stderr');
  const ended = process.exited.then((): never => {
    throw new Error(`kube-proxy ended; its last line: ${syncs.last}`);
  });
  ended.catch(() => undefined);
  const applied = async (tell: () => void): Promise<number> => {
    const synced = syncs.next();
    const started = performance.now();
    tell();
    await Promise.race([synced, ended]);
    return performance.now() - started;
  };
  const firstSyncSeconds = await Promise.race([first, ended]);
  return {
    pid: process.pid,
    firstSyncSeconds,
    change: (slice) => applied(() => api.tell('MODIFIED', kubernetesObject(slice))),
    async add(service: Service, slice: EndpointSlice) {
      // A slice without its Service is a sync too; the Service is then one more, with its endpoints.
      await applied(() => api.tell('ADDED', kubernetesObject(slice)));
      return applied(() => api.tell('ADDED', kubernetesObject(service)));
    },
    async remove(service: Service, slice: EndpointSlice) {
      const took = await applied(() => api.tell('DELETED', kubernetesObject(service)));
      await applied(() => api.tell('DELETED', kubernetesObject(slice)));
      return took;
    },
    async stop() {
      process.kill();
      await process.exited;
      api.close();
      rmSync(directory, { recursive: true });
    },
  };
}

/** kube-proxy tells how long each sync took, once it is in the kernel. IPv6 has no objects, and its syncs are not counted. */
class SyncLines {
  last = '';
  #done: (seconds: number) => void = () => undefined;

  async next(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#done = resolve;
    const timer = setTimeout(() => reject(new Error(`no sync in time; last line: ${this.last}`)), syncTimeoutMs);
    return promise.finally(() => clearTimeout(timer));
  }

  read(line: string): void {
    this.last = line;
    const [, family, elapsed] = /"SyncProxyRules complete" ipFamily="(IPv\d)" elapsed="([^"]+)"/.exec(line) ?? [];
    if (family === 'IPv4' && elapsed !== undefined) this.#done(goSeconds(elapsed));
  }
}

/** `1m2.5s`, `834.1ms`, `12.1µs` */
function goSeconds(text: string): number {
  const units: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, µs: 1e-6, ns: 1e-9 };
  const parts = [...text.matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ''] ?? Number.NaN), 0);
}

function configuration(mode: KubeProxyMode, nodeName: string, kubeconfigFile: string): unknown {
  // No pause between two syncs, and none for its own sake.
  const periods = { minSyncPeriod: '1ms', syncPeriod: '1h' };
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode,
    hostnameOverride: nodeName,
    clientConnection: {
      kubeconfig: kubeconfigFile,
      contentType: 'application/json',
      acceptContentTypes: 'application/json',
    },
    iptables: periods,
    nftables: periods,
    // Not to be set in a network namespace; and no right to lower the score.
    conntrack: { maxPerCore: 0, min: 0 },
    oomScoreAdj: 0,
  };
}
