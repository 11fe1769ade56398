/** Sluice's own specs on a real cluster, in this order: the last one takes it off the nodes. */
import { mkdirSync } from 'node:fs';
import { MachineError, messageOf } from '../../build/machine.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { startDns } from '../../cluster/add-ons.ts';
import { cleanNodes, stateBefore } from '../../sluice/clean-nodes.ts';
import { helm, installSluice, uninstallSluice } from '../../sluice/install.ts';
import { compareStates, readNodeState } from '../../sluice/node-state.ts';
import type { CaseResult, SuiteContext } from '../suite.ts';
import { killAgents, rollAgents, withNewAgents } from './agents.ts';
import { applyDemoPolicy, deleteDemo, expectWays, startDemo, ways } from './demo.ts';
import { underProbe } from './probe.ts';

interface OwnCase {
  readonly name: string;
  readonly run: (cluster: Cluster, tell: (line: string) => void) => Promise<void>;
}

const cases: readonly OwnCase[] = [
  {
    name: 'helm test: status is ready, a policy holds',
    run: async (cluster) => {
      await helm(cluster, ['test', 'sluice', '--timeout=180s']);
    },
  },
  {
    name: "the seed's demo: only the backend reaches the database, by Services on two nodes",
    run: async (cluster) => {
      await startDemo(cluster);
      await expectWays(
        cluster,
        ways.map((way) => ({ ...way, expect: 'allowed' })),
      );
      await applyDemoPolicy(cluster);
      await expectWays(cluster);
    },
  },
  {
    name: 'rolling update: nothing passes that must not, nothing breaks that may pass',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(JSON.stringify(await underProbe(cluster, async () => rollAgents(cluster))));
    },
  },
  {
    name: 'agents killed by SIGKILL: nothing passes that must not, nothing breaks that may pass',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(JSON.stringify(await underProbe(cluster, async () => killAgents(cluster))));
    },
  },
  {
    name: 'node reboot: the rules of a node that was torn down are there again',
    run: async (cluster) => {
      const node = cluster.nodes[1];
      if (node === undefined) throw new Error('needs a second node');
      await demoWithPolicy(cluster);
      await withNewAgents(cluster, [node], async () => node.reboot());
      await startDemo(cluster);
      await expectWays(cluster);
    },
  },
  {
    name: 'uninstall and sluice cleanup leave the nodes as they were; installing again serves them',
    run: async (cluster, tell) => {
      await deleteDemo(cluster);
      await uninstallSluice(cluster);
      await cleanNodes(cluster, tell);
      const left: string[] = [];
      for (const node of cluster.nodes) {
        const differences = compareStates(stateBefore(cluster, node.place.name), await readNodeState(node));
        left.push(...differences.map((line) => `${node.place.name}: ${line}`));
      }
      if (left.length > 0) throw new Error(`${left.length} differences: ${left.slice(0, 10).join('; ')}`);
      await installSluice(cluster);
      await startDns(cluster);
    },
  },
];

/** Any case may be run alone. */
async function demoWithPolicy(cluster: Cluster): Promise<void> {
  await startDemo(cluster);
  await applyDemoPolicy(cluster);
  await expectWays(cluster);
}

/** Runs the cases one after the other; a failed one does not keep the next from running. */
export async function runOwn({ target, focus, results, progress }: SuiteContext): Promise<readonly CaseResult[]> {
  const { cluster } = target;
  if (cluster === undefined)
    throw new MachineError('own specs enter the nodes: they run on a cluster that is built here alone');
  mkdirSync(results, { recursive: true });
  const chosen = cases.filter(({ name }) => focus === undefined || new RegExp(focus).test(name));
  const done: CaseResult[] = [];
  for (const { name, run } of chosen) {
    const started = performance.now();
    const failure = await failureOf(async () => run(cluster, progress));
    const seconds = (performance.now() - started) / 1000;
    done.push({
      name,
      seconds,
      ...(failure === undefined ? { outcome: 'passed' } : { outcome: 'failed', message: failure }),
    });
    progress(`${failure === undefined ? 'passed' : 'failed'} ${Math.round(seconds)} s: ${name}`);
    if (failure !== undefined) progress(failure);
  }
  return done;
}

async function failureOf(body: () => Promise<void>): Promise<string | undefined> {
  try {
    await body();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
