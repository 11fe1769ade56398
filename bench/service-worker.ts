/** Runs in the namespace of a node: brings Services in and changes them, prints what that cost one proxy as one JSON object. */
import type { IptablesVariant } from '../src/backends/iptables/variant.ts';
import type { ClusterChange } from '../src/cluster/state.ts';
import { loadConfig } from '../src/config/load.ts';
import { measureBundledAgent } from './bundled-agent.ts';
import { startDrivenAgent } from './driven-agent.ts';
import { measureKernelFloor } from './kernel-floor.ts';
import { type KubeProxyMode, startKubeProxy } from './kube-proxy.ts';
import { cpuSecondsOf } from './process-costs.ts';
import { benchNode, type ServiceSize, serviceCluster } from './service-cluster.ts';
import { measureServices, type Occupied, type ServiceCosts } from './service-scenario.ts';

/** Ours in one of the variants, or kube-proxy in one of its modes. */
export type ProxyChoice =
  | { readonly proxy: 'sluice'; readonly variant: IptablesVariant; readonly runDir: string }
  | { readonly proxy: 'kube-proxy'; readonly mode: KubeProxyMode };

/** `occupied`: the same cluster, followed by the program that the image runs. */
export type WorkerTask =
  | { readonly measure: 'costs'; readonly work: ServiceWork }
  | { readonly measure: 'occupied'; readonly size: ServiceSize };

export type ServiceWork = ServiceSize & ProxyChoice & { readonly samples: number };

if (import.meta.main) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by service.ts
  const task = JSON.parse(process.argv[2] ?? '') as WorkerTask;
  process.stdout.write(JSON.stringify(await carryOut(task)));
  process.exit(0);
}

function carryOut(task: WorkerTask): Promise<ServiceCosts | Occupied> {
  if (task.measure === 'occupied') return measureBundledAgent(benchNode, serviceCluster(task.size));
  return task.work.proxy === 'sluice' ? measureSluice(task.work) : measureKubeProxy(task.work);
}

async function measureSluice(work: ServiceWork & { readonly proxy: 'sluice' }): Promise<ServiceCosts> {
  // What an agent has loaded counts among what it occupies.
  await Promise.all([import('../src/cli/program.ts'), import('../src/agent/run-agent.ts')]);
  const flags = { serviceProxy: 'true', runDir: work.runDir };
  const driven = startDrivenAgent(loadConfig({ flags, environment: {} }), benchNode, work.variant);
  const everything = [...serviceCluster(work)].map((object): ClusterChange => ({ type: 'set', object }));
  const cpuBefore = cpuSecondsOf(process.pid);
  const firstSyncSeconds = (await driven.apply(everything)) / 1000;
  const firstSyncCpuSeconds = cpuSecondsOf(process.pid) - cpuBefore;
  const costs = await measureServices(
    {
      pid: process.pid,
      change: (slice) => driven.apply([{ type: 'set', object: slice }]),
      add: (service, slice) =>
        driven.apply([
          { type: 'set', object: service },
          { type: 'set', object: slice },
        ]),
      remove: (service, slice) =>
        driven.apply([
          { type: 'delete', kind: 'Service', key: `${service.namespace}/${service.name}` },
          { type: 'delete', kind: 'EndpointSlice', key: `${slice.namespace}/${slice.name}` },
        ]),
      stop: () => driven.stop(),
    },
    work,
    work.samples,
  );
  await driven.stop();
  const floor =
    work.variant === 'nft' ? { floorMs: await measureKernelFloor(work.samples, { family: 'ipv4', table: 'nat' }) } : {};
  return { firstSyncSeconds, firstSyncCpuSeconds, ...costs, ...floor };
}

async function measureKubeProxy(work: ServiceWork & { readonly proxy: 'kube-proxy' }): Promise<ServiceCosts> {
  const proxy = await startKubeProxy(work.mode, benchNode, serviceCluster(work));
  const firstSyncCpuSeconds = cpuSecondsOf(proxy.pid);
  const costs = await measureServices(proxy, work, work.samples);
  await proxy.stop();
  return { firstSyncSeconds: proxy.firstSyncSeconds, firstSyncCpuSeconds, ...costs };
}
