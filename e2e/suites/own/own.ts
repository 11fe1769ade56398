/** Sluice's own specs on a real cluster, in this order: the last one takes it off the nodes. */
import { buildAll } from '../../build/build.ts';
import { startDns } from '../../cluster/add-ons.ts';
import { installSluice, helm } from '../../sluice/install.ts';
import type { CaseResult, SuiteContext } from '../suite.ts';
import { killAgents, rollAgents, upgradeAndRollBack, withNewAgents } from './agents.ts';
import { demoWithPolicy, deleteDemo, applyDemoPolicy, expectWays, startDemo, ways } from './demo.ts';
import { disturbances, driftEvent, mendedOnNode } from './drift.ts';
import { contestedServiceHasEvent } from './events.ts';
import { underProbe } from './probe.ts';
import type { OwnCase } from './run-cases.ts';
import { runCases } from './run-cases.ts';
import { takeAway } from './take-away.ts';

const cases: readonly OwnCase[] = [
  {
    name: 'helm test: status is ready, a policy holds',
    runAnywhere: async (cluster, tell) => {
      await buildAll(['helm'], tell);
      await helm(cluster, ['test', 'sluice', '--timeout=180s']);
    },
  },
  {
    name: "the seed's demo: only the backend reaches the database, by Services on two nodes",
    runAnywhere: async (cluster) => {
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
      tell(await underProbe(cluster, async () => rollAgents(cluster)));
    },
  },
  {
    name: 'agents killed by SIGKILL: nothing passes that must not, nothing breaks that may pass',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(await underProbe(cluster, async () => killAgents(cluster)));
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
    name: 'helm upgrade with a changed setting, then helm rollback: nothing passes that must not, nothing breaks that may pass',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      tell(await underProbe(cluster, async () => upgradeAndRollBack(cluster)));
    },
  },
  {
    name: 'drift on a node: what others flush, delete and switch off is back, counted, and an Event on the Node',
    run: async (cluster, tell) => {
      await demoWithPolicy(cluster);
      for (const disturbance of disturbances) tell(await mendedOnNode(cluster, disturbance));
      tell(await driftEvent(cluster));
    },
  },
  {
    name: 'a Service whose frontend another one has: one Event of the installed agents says so',
    runAnywhere: contestedServiceHasEvent,
  },
  {
    name: 'cleanup.enabled, then helm uninstall, leaves the nodes as they were; installing again serves them',
    run: async (cluster, tell) => {
      await deleteDemo(cluster);
      await takeAway(cluster, tell);
      await installSluice(cluster);
      await startDns(cluster);
    },
  },
];

/** Where no probe can be put into the pods' own networks, this stands for the rolling update under one. */
const replaced: OwnCase = {
  name: 'agents replaced by a rollout: every way is as it was',
  runAnywhere: async (cluster) => {
    await demoWithPolicy(cluster);
    await rollAgents(cluster);
    await expectWays(cluster);
  },
};

/** Somebody else's cluster is left without the demo. */
export async function runOwn(context: SuiteContext): Promise<readonly CaseResult[]> {
  const { target } = context;
  if (target.cluster !== undefined) return runCases(cases, context);
  try {
    return await runCases([...cases, replaced], context);
  } finally {
    await deleteDemo(target);
  }
}
