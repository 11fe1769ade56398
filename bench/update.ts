/** From a changed manifest to the kernel: a real agent process follows 1,000 policies, files are renamed into place, and the clock stops when the last restore has ended. */
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from '../src/backends/exec.ts';
import type { ClusterObject, Pod } from '../src/cluster/objects.ts';
import { manifestText } from '../src/manifests/write.ts';
import { type AgentProcess, startAgentProcess } from './agent-process.ts';
import { connectAll, serve } from './connections.ts';
import { measureKernelFloor } from './kernel-floor.ts';
import { ipBatch, type Netns, withNetns } from './netns.ts';
import {
  benchNode,
  type ClusterSize,
  firstPort,
  localPod,
  namespaceCount,
  policyAt,
  policyCluster,
  remotePod as podOfManyNodes,
} from './policy-cluster.ts';
import { type BenchRow, percentileRows, row } from './row.ts';

export interface UpdateOptions {
  readonly policies: number;
  readonly samples: number;
}

type Place = Readonly<Record<'node' | 'pods' | 'server' | 'client', Netns>>;

/** Every policy selects a pod of the node under test. */
const localPods = 100;
const remotePods = 1000;
const namespaces = 10;
/** Of another namespace's first pod: pods are laid out namespace by namespace. */
const clientIndex = namespaces;
/** Between two changes, so that one does not wait for what the kernel still does after the other. */
const pauseMs = 40;
const gateway = '169.254.1.1';
/** Manifests give each node that they name an address of its own. */
const nodes = 50;

export async function benchUpdate({ policies, samples }: UpdateOptions): Promise<readonly BenchRow[]> {
  const size: ClusterSize = { policies, pods: remotePods, localPods, namespaces };
  const directory = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    return await withNetns(['node', 'pods', 'server', 'client'], async (place) => {
      const files = new ManifestFolder(directory);
      await files.writeCluster(size);
      await wire(place);
      const agent = await startAgentProcess({
        netns: place.node,
        nodeName: benchNode,
        source: { manifests: files.path },
        runDir: join(directory, 'run'),
      });
      try {
        return await measure(agent, files, { size, samples, place });
      } finally {
        await agent.stop();
      }
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Run {
  readonly size: ClusterSize;
  readonly samples: number;
  readonly place: Place;
}

async function measure(agent: AgentProcess, files: ManifestFolder, run: Run): Promise<readonly BenchRow[]> {
  const { size, samples, place } = run;
  const name = `policy/to-kernel/${size.policies}`;
  await sleep(2000);
  const timed = async (file: string, objects: readonly ClusterObject[]): Promise<number> => {
    const applied = agent.nextApplied();
    const renamedAt = await files.replace(file, objects);
    const took = (await applied) - renamedAt;
    await sleep(pauseMs);
    return took;
  };
  const count = namespaceCount(size);
  const policyMs: number[] = [];
  const labelMs: number[] = [];
  const podAddedMs: number[] = [];
  const podRemovedMs: number[] = [];
  for (let index = 0; index < samples; index++) {
    // The policies of the packets at the end stay as they are.
    const policy = 1 + ((index * 7) % (size.policies - 1));
    const round = 1 + Math.floor((index * 7) / (size.policies - 1));
    const changed = policyAt(policy % namespaces === 0 ? policy + 1 : policy, count, round);
    policyMs.push(await timed(policyFile(changed.namespace, changed.name), [changed]));
    labelMs.push(await timed(podFile(index % remotePods), [remotePod(index % remotePods, count, 1)]));
    const stays = remotePod(remotePods + 1, count);
    podAddedMs.push(await timed('extra.yaml', [stays, remotePod(remotePods + 2 + index, count)]));
    podRemovedMs.push(await timed('extra.yaml', [stays]));
  }
  const floorMs = await floorOf(place.node, Math.min(samples, 50));
  await mustHold(place, size);
  return [
    ...percentileRows(`${name}/kernel-floor`, 'ms', floorMs),
    ...percentileRows(`${name}/policy-change`, 'ms', policyMs),
    ...percentileRows(`${name}/label-change`, 'ms', labelMs),
    ...percentileRows(`${name}/pod-added`, 'ms', podAddedMs),
    ...percentileRows(`${name}/pod-removed`, 'ms', podRemovedMs),
    row(`${name}/first-write`, 's', agent.firstWriteMs / 1000),
    row(`${name}/resident`, 'MB', await agent.residentMegabytes()),
  ];
}

/** What a change of rules in both families costs at least: a transaction of one rule in each. */
async function floorOf(node: Netns, samples: number): Promise<readonly number[]> {
  const inside = (argv: Argv) => node.inside(argv);
  const ipv4 = await measureKernelFloor(samples, { family: 'ipv4', table: 'filter', inside });
  const ipv6 = await measureKernelFloor(samples, { family: 'ipv6', table: 'filter', inside });
  return ipv4.map((ms, index) => ms + (ipv6[index] ?? 0));
}

/** The kernel has a chain for every policy and only the right packets pass. */
async function mustHold({ node, server, client }: Place, size: ClusterSize): Promise<void> {
  const { stdout } = await node.run(['nft', 'list', 'chains', 'ip']);
  const chains = stdout.match(/chain cali-pi-/g)?.length ?? 0;
  if (chains !== size.policies) throw new Error(`${chains} policy chains in the kernel, expected ${size.policies}`);
  const [allowed, denied] = [firstPort + 1, firstPort + 2];
  const [address = ''] = localPod(0, namespaces).ips;
  const endServer = await serve(server, [allowed, denied]);
  try {
    const [first, second] = await connectAll(
      client,
      [allowed, denied].map((port) => ({ address, port })),
    );
    if (first?.ms === undefined) throw new Error(`the packet to port ${allowed}, which a policy allows, did not pass`);
    if (second?.ms !== undefined) throw new Error(`the packet to port ${denied}, which no policy allows, passed`);
  } finally {
    await endServer();
  }
}

/** Manifests, one object a file, each put in place by a rename. */
class ManifestFolder {
  readonly path: string;
  readonly #temporary: string;

  constructor(directory: string) {
    this.path = join(directory, 'manifests');
    this.#temporary = join(directory, 'next.yaml');
  }

  async writeCluster(size: ClusterSize): Promise<void> {
    await mkdir(this.path);
    const others: ClusterObject[] = [];
    for (const change of policyCluster(size)) {
      if (change.type !== 'set') continue;
      const { object } = change;
      if (object.kind === 'NetworkPolicy') await this.replace(policyFile(object.namespace, object.name), [object]);
      else if (object.kind !== 'Pod' || object.nodeName === benchNode) others.push(object);
    }
    for (let index = 0; index < size.pods; index++) {
      await this.replace(podFile(index), [remotePod(index, namespaceCount(size))]);
    }
    await this.replace('cluster.yaml', others);
    await this.replace('extra.yaml', [remotePod(size.pods + 1, namespaceCount(size))]);
  }

  /** Answers when it was renamed into place. */
  async replace(file: string, objects: readonly ClusterObject[]): Promise<number> {
    await writeFile(this.#temporary, manifestText(objects));
    const renamedAt = performance.now();
    await rename(this.#temporary, join(this.path, file));
    return renamedAt;
  }
}

function remotePod(index: number, count: number, round = 0): Pod {
  return { ...podOfManyNodes(index, count, round), nodeName: `node-${1 + (index % nodes)}` };
}

function policyFile(namespace: string, name: string): string {
  return `policy-${namespace}-${name}.yaml`;
}

function podFile(index: number): string {
  return `pod-remote-${index}.yaml`;
}

/** A veth for every local pod; two of them end in namespaces of their own, for real packets. */
async function wire({ node, pods, server, client }: Place): Promise<void> {
  const ends = Array.from({ length: localPods }, (_, index) => {
    const peer = index === 0 ? server : index === clientIndex ? client : pods;
    return { device: `pod${index}`, address: localPod(index, namespaces).ips[0] ?? '', peer };
  });
  await ipBatch(
    node,
    ends.flatMap(({ device, address, peer }) => [
      `link add ${device} type veth peer name ${device} netns ${peer.name}`,
      `link set ${device} addrgenmode none`,
      `link set ${device} up`,
      `addr add ${gateway}/32 dev ${device}`,
      `route add ${address}/32 dev ${device}`,
    ]),
  );
  for (const netns of [pods, server, client]) {
    const own = ends.filter(({ peer }) => peer === netns);
    await ipBatch(
      netns,
      own.flatMap(({ device, address }) => [
        `link set ${device} addrgenmode none`,
        `link set ${device} up`,
        `addr add ${address}/32 dev ${device}`,
        ...(netns === pods ? [] : [`route add ${gateway} dev ${device}`, `route add default via ${gateway}`]),
      ]),
    );
  }
}
