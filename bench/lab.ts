/** A lab of three nodes and 60 pods: how long until every pod is programmed, and what all of it takes of memory. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inodeOf } from '../e2e/cluster/cgroups.ts';
import { labDown } from '../src/lab/down.ts';
import { labDefaults } from '../src/lab/options.ts';
import type { LabState } from '../src/lab/run-directory.ts';
import { labUp } from '../src/lab/up.ts';
import { probeAll } from '../test/kernel/probe.ts';
import type { BenchRow } from './row.ts';
import { row } from './row.ts';

const podCount = 60;

/** Rejects where a packet does not do what the policy says: a lab that enforces nothing would be quick. */
export async function benchLab(): Promise<readonly BenchRow[]> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-bench-lab-'));
  const name = `slbench-${process.pid}`;
  const manifests = join(directory, 'manifests');
  process.env.SLUICE_LAB_RUN_DIR = join(directory, 'run');
  await mkdir(manifests);
  await writeFile(join(manifests, 'cluster.yaml'), clusterText());
  try {
    const started = performance.now();
    const lab = await labUp({ ...labDefaults, name, nodes: 3, directory: manifests });
    const seconds = (performance.now() - started) / 1000;
    await checkPackets(lab);
    const title = `lab/3-nodes-${podCount}-pods`;
    return [row(`${title}/up`, 's', seconds), row(`${title}/memory`, 'MB', memoryOf(lab))];
  } finally {
    await labDown({ name });
    delete process.env.SLUICE_LAB_RUN_DIR;
    await rm(directory, { recursive: true });
  }
}

/** A server, a client that may reach it, and pods that may not. */
function clusterText(): string {
  const pods = Array.from({ length: podCount }, (_, index) => {
    const role = index === 0 ? 'server' : index === 1 ? 'friend' : 'other';
    return `---
apiVersion: v1
kind: Pod
metadata: { name: pod-${index}, labels: { role: ${role} } }
spec: { containers: [{ name: main, image: example, ports: [{ containerPort: 80 }] }] }
`;
  });
  return `${pods.join('')}---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: server }
spec:
  podSelector: { matchLabels: { role: server } }
  ingress: [{ from: [{ podSelector: { matchLabels: { role: friend } } }] }]
`;
}

async function checkPackets(lab: LabState): Promise<void> {
  if (lab.pods.length !== podCount) throw new Error(`the lab has ${lab.pods.length} pods, not ${podCount}`);
  const target = { to: 'pod-0', port: 80, protocol: 'TCP' } as const;
  const results = await probeAll(lab, [
    { ...target, from: 'pod-1' },
    { ...target, from: 'pod-2' },
  ]);
  const verdicts = results.map(({ verdict }) => verdict).join(', ');
  if (verdicts !== 'allowed, denied') throw new Error(`packets were ${verdicts}, expected allowed, denied`);
}

/** MB of every process in the lab's network namespaces and of the lab process itself; what several share is counted once. */
function memoryOf({ lab, nodes, pods, outside }: LabState): number {
  const names = [...nodes, ...pods, ...(outside === undefined ? [] : [outside])].map(({ netns }) => netns);
  const namespaces = new Set(names.map((name) => inodeOf(`/run/netns/${name}`)));
  const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const isOurs = (pid: string): boolean => {
    const inode = inodeOf(`/proc/${pid}/ns/net`);
    return Number(pid) === lab.pid || (inode !== undefined && namespaces.has(inode));
  };
  const own = pids.filter(isOurs);
  return own.reduce((sum, pid) => sum + megabytesOf(pid), 0);
}

/** Proportional share (proc(5), smaps_rollup). 0 where the process has ended meanwhile. */
function megabytesOf(pid: string): number {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    return (Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]) * 1.024) / 1e3;
  } catch {
    return 0;
  }
}
