/** A pod that somebody wired on a node of a lab, with an address of the pod network, and that no object tells of. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runBatch } from '../../src/lab/network.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { PodPlan } from '../../src/lab/plan.ts';
import { planLab } from '../../src/lab/plan.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { PodServers } from '../../src/lab/servers.ts';
import { podInnerLines, podLinkLines, podUnlinkLines } from '../../src/lab/wiring.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { createNetns } from './netns.ts';
import { unusedAddresses } from './trap-cluster.ts';

/** Runs `act` while the pod `default/unknown` is there, with a server on port 80; `lab` then knows its name. */
export async function withUnknownPod<T>(state: LabState, act: (lab: LabState) => Promise<T>): Promise<T> {
  const { name, cni, ipFamilies, directory } = state;
  const { state: cluster } = await loadManifests(directory, clusterDefaults({ ipFamilies }));
  const plan = planLab(cluster, { ...labDefaults, name, cni, ipFamilies, directory });
  const node = plan.nodes.get('node-a');
  if (node === undefined) throw new Error('no node-a');
  const netns = await createNetns('unknown');
  const pod: PodPlan = {
    key: 'default/unknown',
    namespace: 'default',
    name: 'unknown',
    netns: netns.name,
    node: node.name,
    hostNetwork: false,
    addresses: ipFamilies.map((family) => unusedAddresses[family]),
    hostInterface: 'veth0unknown',
    ports: [{ port: 80, protocol: 'TCP' }],
  };
  const compiled = await mkdtemp(join(tmpdir(), 'sluice-unknown-'));
  const servers = new PodServers(compiled);
  try {
    await runBatch({ netns: node.netns, lines: podLinkLines(plan, pod) });
    await runBatch({ netns: pod.netns, lines: podInnerLines(plan, pod) });
    const problems = await servers.open(pod);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    return await act({ ...state, pods: [...state.pods, pod] });
  } finally {
    servers.closeAll();
    await runBatch({ netns: node.netns, lines: podUnlinkLines(pod) });
    await netns.destroy();
    await rm(compiled, { recursive: true, force: true });
  }
}
