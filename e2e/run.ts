/** `npm run e2e`: builds a real cluster, installs Sluice, runs the suites; the last line is `N passed, N failed, N skipped`. */
import { rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from '../src/backends/exec.ts';
import { MachineError, messageOf } from './build/machine.ts';
import { binary, buildAll } from './build/build.ts';
import type { Cluster } from './cluster/cluster.ts';
import { processesOf } from './cluster/cgroups.ts';
import { keptEstate } from './cluster/estate.ts';
import type { CniKind } from './cluster/node-config.ts';
import { readOptions, usage, type Options } from './options.ts';
import { Results } from './results.ts';
import type { CaseResult, ClusterSuite, Proxy, SuiteContext, Target } from './suites/suite.ts';
import { suites } from './suites/table.ts';
import { clusterName, handUse, noteState, prepare, upCluster } from './test-cluster.ts';

const root = join(import.meta.dirname, '..');
const started = performance.now();

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    console.error(`e2e: ${messageOf(error)}\n${usage}`);
    return 2;
  }
  try {
    if (options.command === 'down') return await down();
    if (options.kubeconfig === undefined) checkRoot();
    return options.command === 'up' ? await up(options) : await test(options);
  } catch (error) {
    console.error(`e2e: ${messageOf(error)}`);
    return error instanceof MachineError ? 3 : 1;
  }
}

async function up(options: Options): Promise<number> {
  const images = await prepare({ ...options, proxies: [options.proxy] }, say);
  const [cni = 'ptp'] = options.cnis;
  const cluster = await upCluster({ cni, proxy: options.proxy, directory: folderOf('up') }, images, say);
  cluster.estate.keep();
  say('cluster: ready');
  console.log(handUse(cluster));
  return 0;
}

async function down(): Promise<number> {
  const estate = keptEstate(clusterName);
  await estate?.clear();
  console.log(estate === undefined ? 'e2e: no cluster is up' : 'e2e: the cluster is taken away');
  return 0;
}

async function test(options: Options): Promise<number> {
  const results = new Results();
  const chosen = suites.filter(({ name }) => options.suites.includes(name));
  const onCluster = chosen.filter((suite) => 'cnis' in suite);
  if (options.kubeconfig === undefined) {
    await testOnOwnClusters(options, onCluster, results);
    for (const suite of chosen.filter((candidate) => 'runAlone' in candidate)) {
      const context = contextOf(options, suite.name, folderOf('alone'));
      await runSuite(suite.name, results, async () => suite.runAlone(context));
    }
  } else {
    const target = await foreignTarget(resolve(options.kubeconfig));
    const wanted = onCluster.filter(({ entersNodes = false }) => !entersNodes);
    // Whoever asked for it by name must not take nothing for an answer.
    for (const { name } of chosen.filter((suite) => !wanted.some((other) => other === suite)))
      say(`${name}: not on a cluster that was not built here`);
    await runSuites(options, { target, place: 'given', cni: 'ptp', folder: folderOf('foreign'), wanted, results });
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results.rows(), null, 1)}\n`);
  for (const line of results.failures()) console.log(line);
  console.log(results.summary());
  return results.isGreen ? 0 : 1;
}

async function testOnOwnClusters(
  options: Options,
  suitesOnCluster: readonly ClusterSuite[],
  results: Results,
): Promise<void> {
  if (suitesOnCluster.length === 0) return;
  const proxyOf = (suite: ClusterSuite): Proxy => suite.proxy ?? options.proxy;
  const images = await prepare({ ...options, proxies: suitesOnCluster.map(proxyOf) }, say);
  for (const cni of options.cnis) {
    const here = suitesOnCluster.filter(({ cnis }) => cnis.includes(cni));
    for (const [proxy, wanted] of Map.groupBy(here, proxyOf)) {
      await testOnOwnCluster(options, { cni, proxy, images, wanted, results });
    }
  }
}

interface Share {
  readonly cni: CniKind;
  readonly proxy: Proxy;
  readonly images: readonly string[];
  readonly wanted: readonly ClusterSuite[];
  readonly results: Results;
}

async function testOnOwnCluster(options: Options, { cni, proxy, images, wanted, results }: Share): Promise<void> {
  const folder = folderOf(proxy === 'sluice' ? cni : `${cni}-${proxy}`);
  const failedBefore = results.failed;
  let cluster: Cluster;
  try {
    cluster = await upCluster({ cni, proxy, directory: folder }, images, say);
  } catch (error) {
    results.addFailure(`cluster with CNI ${cni}`, `${messageOf(error)}; logs: ${join(folder, 'logs')}`);
    return;
  }
  try {
    await runSuites(options, { target: targetOf(cluster), place: `${cni}, ${proxy}`, cni, folder, wanted, results });
  } finally {
    const hasFailed = results.failed > failedBefore;
    if (hasFailed) {
      await noteState(cluster);
      console.log(`e2e: logs of all parts: ${folder}/logs, of pods: ${folder}/nodes/*/var/log/pods`);
    }
    if (options.keep) {
      cluster.estate.keep();
      console.log(handUse(cluster));
    } else {
      const names = cluster.nodes.map(({ place }) => place.netns);
      await cluster.stop();
      const left = names.flatMap(processesOf);
      if (left.length > 0) results.addFailure(`cluster with CNI ${cni}`, `processes are left: ${left.join(' ')}`);
      if (!hasFailed) rmSync(join(folder, 'nodes'), { recursive: true, force: true });
    }
  }
}

interface SuiteRun {
  readonly target: Target;
  /** For people: what the cluster is. */
  readonly place: string;
  readonly cni: CniKind;
  readonly folder: string;
  readonly wanted: readonly ClusterSuite[];
  readonly results: Results;
}

async function runSuites(options: Options, { target, place, cni, folder, wanted, results }: SuiteRun): Promise<void> {
  for (const suite of wanted) {
    const label = `${suite.name} (${place})`;
    await runSuite(label, results, async () => suite.run({ ...contextOf(options, label, folder), target, cni }));
  }
}

async function runSuite(label: string, results: Results, body: () => Promise<readonly CaseResult[]>): Promise<void> {
  say(`${label}: begins`);
  try {
    results.add(label, await body());
  } catch (error) {
    results.addFailure(label, messageOf(error));
  }
  say(`${label}: ${results.countOf(label)}`);
}

function contextOf(
  { isFull, focus, processes }: Options,
  label: string,
  folder: string,
): Omit<SuiteContext, 'target' | 'cni'> {
  return {
    isFull,
    processes,
    ...(focus === undefined ? {} : { focus }),
    results: join(folder, 'logs', label.replace(/ .*/, '')),
    progress: (line) => say(`${label}: ${line}`),
  };
}

function targetOf(cluster: Cluster): Target {
  return {
    kubeconfig: cluster.kubeconfig,
    nodeNames: cluster.topology.nodes.map(({ name }) => name),
    inside: (argv) => cluster.inside(argv),
    kubectl: async (args, input) => cluster.kubectl(args, input),
    cluster,
  };
}

async function foreignTarget(kubeconfig: string): Promise<Target> {
  await buildAll(['kubectl'], say);
  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const argv = [binary('kubectl'), `--kubeconfig=${kubeconfig}`, ...args] as const;
    return (await run(argv, { timeoutMs: 300_000, ...(input === undefined ? {} : { input }) })).stdout;
  };
  const nodes = await kubectl(['get', 'nodes', '-o', 'name']);
  const nodeNames = nodes
    .trim()
    .split('\n')
    .map((name) => name.replace('node/', ''));
  return { kubeconfig, nodeNames, inside: (argv) => argv, kubectl };
}

function checkRoot(): void {
  if (process.getuid?.() !== 0) throw new MachineError('a cluster of network namespaces needs root');
}

function folderOf(name: string): string {
  return join(root, 'tmp', 'e2e', name);
}

function say(line: string): void {
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`[${String(seconds).padStart(4)} s] ${line}`);
}
