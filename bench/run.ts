/**
 * `npm run bench -- [policy|update|start|pod-start|cut|service|lab|cluster] [--pods N] [--policies N] [--local-pods N] [--services N] [--endpoints N]
 * [--variant nft|legacy] [--samples N] [--peers] [--json FILE]`: prints rows, and writes them where asked. `update`, which is a part of
 * `policy`, needs root: it times a real agent in a network namespace. So do `start` (the image's program on a small cluster, started and at rest),
 * `pod-start` (`--samples` pods in a lab) and `service`, which
 * measures kube-proxy beside ours where it is built; `--peers` builds it (minutes, needs Go). `cluster` is three agents on a real API
 * server, which is built the same way where it is missing.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { buildAll } from '../e2e/build/build.ts';
import { isBuilt } from '../e2e/build/cache.ts';
import { MachineError } from '../e2e/build/machine.ts';
import { benchCluster } from './cluster.ts';
import { benchCut } from './cut.ts';
import type { KubeProxyMode } from './kube-proxy.ts';
import { benchLab } from './lab.ts';
import { whyNoKernel } from './netns.ts';
import { benchPolicy } from './policy.ts';
import { benchPodStart } from './pod-start.ts';
import type { BenchRow } from './row.ts';
import { benchServices, type ServiceBenchOptions } from './service.ts';
import { benchStart } from './start.ts';
import { benchUpdate } from './update.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pods: { type: 'string' },
    policies: { type: 'string' },
    'local-pods': { type: 'string', default: '200' },
    services: { type: 'string' },
    endpoints: { type: 'string' },
    variant: { type: 'string' },
    peers: { type: 'boolean', default: false },
    samples: { type: 'string', default: '50' },
    json: { type: 'string' },
  },
});

exposeGarbageCollection();
const rows: BenchRow[] = [];
for (const bench of benchesNamed(positionals)) rows.push(...(await bench()));
for (const { name, unit, ours, peer, ratio } of rows) {
  console.log(`${name.padEnd(48)} ${String(ours).padStart(9)} ${unit}${peer === null ? '' : `  ${ratio}x of ${peer}`}`);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);

type Bench = () => Promise<readonly BenchRow[]> | readonly BenchRow[];

function benchesNamed(names: readonly string[]): readonly Bench[] {
  // `policy` is all that is to be said of policies; its second half alone is `update`.
  const known: Record<string, readonly Bench[]> = {
    policy: [policyRows, updateWherePossible],
    update: [updateRows],
    start: [startRows],
    'pod-start': [podStartRows],
    cut: [cutRows],
    service: [serviceRows],
    lab: [labRows],
    cluster: [clusterRows],
  };
  const chosen = names.length === 0 ? ['policy'] : names;
  return chosen.flatMap((name) => {
    const benches = known[name];
    if (benches !== undefined) return benches;
    console.error(`bench: no bench called ${name}, expected ${Object.keys(known).join(', ')}`);
    return process.exit(2);
  });
}

function updateWherePossible(): Promise<readonly BenchRow[]> {
  const why = whyNoKernel();
  if (why === undefined) return updateRows();
  console.error(`bench: no rows of update, which ${why}`);
  return Promise.resolve([]);
}

function needsKernel(bench: string): void {
  const why = whyNoKernel();
  if (why === undefined) return;
  console.error(`bench: ${bench} ${why}`);
  process.exit(3);
}

function updateRows(): Promise<readonly BenchRow[]> {
  needsKernel('update');
  return benchUpdate({ policies: Number(values.policies ?? 1000), samples: Number(values.samples) });
}

function startRows(): Promise<readonly BenchRow[]> {
  needsKernel('start');
  return benchStart({ starts: 10, variant: values.variant === 'legacy' ? 'legacy' : 'nft' });
}

function podStartRows(): Promise<readonly BenchRow[]> {
  needsKernel('pod-start');
  return benchPodStart(Number(values.samples));
}

function labRows(): Promise<readonly BenchRow[]> {
  needsKernel('lab');
  return benchLab();
}

async function clusterRows(): Promise<readonly BenchRow[]> {
  needsKernel('cluster');
  const size = { policies: Number(values.policies ?? 1000), pods: Number(values.pods ?? 5000) };
  try {
    return await benchCluster({ ...size, samples: Number(values.samples) });
  } catch (error) {
    if (!(error instanceof MachineError)) throw error;
    console.error(`bench: cluster: ${error.message}`);
    return process.exit(3);
  }
}

function cutRows(): Promise<readonly BenchRow[]> {
  needsKernel('cut');
  return benchCut(Number(values.samples));
}

/** One size where it is named, else those of the budgets, with nf_tables and legacy. */
async function serviceRows(): Promise<readonly BenchRow[]> {
  needsKernel('service');
  const peers = await kubeProxyModes();
  const samples = Number(values.samples);
  const measured: BenchRow[] = [];
  for (const size of serviceSizes()) {
    measured.push(...(await benchServices({ ...size, samples, peers: size.variant === 'nft' ? peers : [] })));
  }
  return measured;
}

function serviceSizes(): readonly Pick<ServiceBenchOptions, 'services' | 'endpoints' | 'variant'>[] {
  if (values.services !== undefined || values.endpoints !== undefined) {
    const variant = values.variant === 'legacy' ? 'legacy' : 'nft';
    return [{ services: Number(values.services ?? 1000), endpoints: Number(values.endpoints ?? 5), variant }];
  }
  return [
    { services: 10, endpoints: 1, variant: 'nft' },
    { services: 1000, endpoints: 5, variant: 'nft' },
    { services: 1000, endpoints: 5, variant: 'legacy' },
    { services: 5000, endpoints: 5, variant: 'nft' },
    { services: 5000, endpoints: 5, variant: 'legacy' },
    { services: 10_000, endpoints: 1, variant: 'nft' },
    { services: 10_000, endpoints: 1, variant: 'legacy' },
  ];
}

async function kubeProxyModes(): Promise<readonly KubeProxyMode[]> {
  if (values.peers) await buildAll(['kube-proxy'], console.error);
  if (isBuilt('kube-proxy')) return ['iptables', 'nftables'];
  console.error('bench: without peers, for kube-proxy is not built; --peers builds it, with Go, in some minutes');
  return [];
}

function policyRows(): readonly BenchRow[] {
  const localPods = Number(values['local-pods']);
  if (values.pods !== undefined || values.policies !== undefined) {
    return benchPolicy({ pods: Number(values.pods ?? 10_000), policies: Number(values.policies ?? 1000), localPods });
  }
  return [
    ...benchPolicy({ pods: 10_000, policies: 1000, localPods }),
    ...benchPolicy({ pods: 250_000, policies: 10_000, localPods }),
  ];
}

/** Memory figures mean little without a collection before each. */
function exposeGarbageCollection(): void {
  setFlagsFromString('--expose-gc');
  globalThis.gc ??= runInNewContext('gc');
}
