/** A cluster that has a live kube-proxy: Sluice as policy add-on with the chart's defaults beside it, then in its place, and back. In this order. */
import { readlinkSync } from 'node:fs';
import { binary } from '../../build/build.ts';
import { processesOf } from '../../cluster/cgroups.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { startKubeProxy } from '../../cluster/kube-proxy.ts';
import { until } from '../../cluster/until.ts';
import { agentsReady, helm, installSluice, servingValues, upgradeSluice } from '../../sluice/install.ts';
import type { NodeState } from '../../sluice/node-state.ts';
import { compareStates, readNodeState } from '../../sluice/node-state.ts';
import type { CaseResult, SuiteContext } from '../suite.ts';
import { killAgents } from './agents.ts';
import { deleteDemo, demoWithPolicy, newServiceAnswers } from './demo.ts';
import { underProbe } from './probe.ts';
import type { OwnCase } from './run-cases.ts';
import { runCases } from './run-cases.ts';
import { takeAway } from './take-away.ts';

const cases: readonly OwnCase[] = [
  {
    name: "helm install with the chart's own values, beside a live kube-proxy, touches none of its rules; helm test",
    run: async (cluster) => {
      const before = await restingKubeRules(cluster);
      await installSluice(cluster, ['image.pullPolicy=Never']);
      const after = await kubeRules(cluster);
      const differences = before.flatMap((state, index) => compareStates(state, after[index] ?? {}));
      if (differences.length > 0) throw new Error(differences.slice(0, 10).join('; '));
      await helm(cluster, ['test', 'sluice', '--timeout=180s']);
    },
  },
  {
    name: "the seed's demo behind kube-proxy's Services; agents killed by SIGKILL: no wrong packet",
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(await underProbe(cluster, async () => killAgents(cluster)));
    },
  },
  {
    name: 'an agent that is to serve Services beside a live kube-proxy refuses, says what to do, and what was enforced stays',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(await underProbe(cluster, async () => refuses(cluster, tell)));
    },
  },
  {
    name: 'from kube-proxy to Sluice on a running cluster, and back: no wrong packet, new Services answer',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(await underProbe(cluster, async () => takeOver(cluster)));
      await newServiceAnswers(cluster, 'after-sluice');
      tell(await underProbe(cluster, async () => handBack(cluster)));
      await newServiceAnswers(cluster, 'after-kube-proxy');
    },
  },
  {
    name: 'cleanup.enabled, then helm uninstall: nothing but the rules of kube-proxy and kubelet is left',
    run: async (cluster, tell) => {
      await deleteDemo(cluster);
      await takeAway(cluster, tell, /KUBE-/);
    },
  },
];

export async function runBeside(context: SuiteContext): Promise<readonly CaseResult[]> {
  return runCases(cases, context);
}

/** Once kube-proxy has done all that it knows of: the same for three seconds. */
async function restingKubeRules(cluster: Cluster): Promise<readonly NodeState[]> {
  let rules = await kubeRules(cluster);
  const isAtRest = async (): Promise<boolean> => {
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const before = rules;
    rules = await kubeRules(cluster);
    return before.every((state, index) => compareStates(state, rules[index] ?? {}).length === 0);
  };
  await until('kube-proxy to have nothing to do', isAtRest, { timeoutMs: 60_000 });
  return rules;
}

/** Rules and chains of kube-proxy and kubelet, node by node. */
async function kubeRules({ nodes }: Cluster): Promise<readonly NodeState[]> {
  const states = await Promise.all(nodes.map(readNodeState));
  return states.map((state) =>
    Object.fromEntries(
      Object.entries(state).map(([name, lines]) => [name, lines.filter((line) => line.includes('KUBE-'))]),
    ),
  );
}

async function refuses(cluster: Cluster, tell: (line: string) => void): Promise<void> {
  const { kubectl } = cluster;
  await upgradeSluice(cluster, servingValues(cluster), { wait: false });
  const agents = ['-n', 'kube-system', 'get', 'pods', '-l', 'app.kubernetes.io/name=sluice'];
  const path =
    '{range .items[*]}{.metadata.name} {.status.containerStatuses[0].lastState.terminated.exitCode}{"\\n"}{end}';
  const refused = async (): Promise<string | undefined> =>
    (await kubectl([...agents, `-o=jsonpath=${path}`]))
      .split('\n')
      .find((line) => line.endsWith(' 3'))
      ?.split(' ')[0];
  await until('an agent to refuse', async () => (await refused()) !== undefined, { timeoutMs: 120_000 });
  const log = await kubectl(['-n', 'kube-system', 'logs', (await refused()) ?? '', '--previous', '--tail=2']);
  tell(log.trim());
  for (const words of ['kube-proxy serves Services on this node', 'take it away first']) {
    if (!log.includes(words)) throw new Error(`the refusal does not say "${words}": ${log}`);
  }
  await helm(cluster, ['rollback', 'sluice', '--wait', '--timeout=180s']);
  await agentsReady(cluster);
}

/** As docs/install.md has it: kube-proxy goes, its chains stay, Sluice takes them over. */
async function takeOver(cluster: Cluster): Promise<void> {
  const proxies = kubeProxies(cluster);
  if (proxies.length !== cluster.nodes.length)
    throw new Error(`${proxies.length} kube-proxies on ${cluster.nodes.length} nodes`);
  for (const pid of proxies) process.kill(pid, 'SIGTERM');
  await until('kube-proxy to end', async () => kubeProxies(cluster).length === 0, { timeoutMs: 20_000 });
  await upgradeSluice(cluster, servingValues(cluster));
}

async function handBack(cluster: Cluster): Promise<void> {
  await upgradeSluice(cluster, ['serviceProxy.enabled=false']);
  await startKubeProxy(cluster);
}

function kubeProxies({ nodes }: Cluster): readonly number[] {
  const pids = nodes.flatMap(({ place }) => processesOf(place.netns));
  return pids.filter((pid) => programOf(pid) === binary('kube-proxy'));
}

function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined; // It has ended.
  }
}
