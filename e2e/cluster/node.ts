/**
 * One node: namespaces of its own for network, mounts, host name and IPC, in which the standard paths of a node (/run, /var, /etc,
 * /opt) are its own; a containerd and a kubelet run in them. Process ids are the machine's: the kernel names writers of rules by
 * them, to an agent with hostPID. One cgroup holds every process of the node.
 */
import { mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Argv, CommandResult, RunOptions } from '../../src/backends/exec.ts';
import { run } from '../../src/backends/exec.ts';
import { binary } from '../build/build.ts';
import { clearCgroup, joinCgroup } from './cgroups.ts';
import type { Daemon } from './daemon.ts';
import { endOfLog, startDaemon } from './daemon.ts';
import type { Estate } from './estate.ts';
import type { CniKind } from './node-config.ts';
import { cniConflist, containerdConfig, kubeletConfig } from './node-config.ts';
import type { NodePlace, Topology } from './topology.ts';
import { deleteNodeNetns, makeNodeNetns } from './topology.ts';
import { until } from './until.ts';

export interface NodeOptions {
  readonly estate: Estate;
  readonly topology: Topology;
  readonly place: NodePlace;
  /** Takes the node's state: `nodes/NAME` is made in it. */
  readonly directory: string;
  readonly logs: string;
  readonly cni: CniKind;
  readonly kubeconfig: string;
  /** OCI archives to import before the kubelet starts. */
  readonly images: readonly string[];
}

export interface ClusterNode {
  readonly place: NodePlace;
  /** `argv`, to be run on the node. */
  inside(argv: Argv): Argv;
  run(argv: Argv, options?: RunOptions): Promise<CommandResult>;
  /** Loads OCI archives into the node's image store. */
  importImages(archives: readonly string[]): Promise<void>;
  /** Starts a long-running program on the node. */
  start(name: string, argv: Argv): Daemon;
  /** First process of a container that runs on the node; throws when there is none. */
  processOf(container: string): Promise<number>;
  /** Ends everything at once, as a power cut does, and starts the node again with its disk as it was. */
  reboot(): Promise<void>;
}

/** Programs that a node needs. */
export const nodePrograms = [
  ...(['containerd', 'containerd-shim-runc-v2', 'ctr', 'runc', 'kubelet', 'pause'] as const),
  ...(['ptp', 'bridge', 'loopback', 'host-local', 'portmap'] as const),
] as const;

/** What a kubelet writes to the whole machine. */
const kubeletSysctls = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];

/** What the node sees of the machine with its own changes on top, which outlive a reboot. */
const layeredFolders = ['/etc', '/opt', '/var'];

/** Folders that may not lie on a layered one, because layers are made in them. */
const plainFolders = ['/var/lib/containerd', '/var/lib/kubelet'];

/** Starts a node and returns when its kubelet runs; that the Node is ready is for the cluster to see. */
export async function startNode(options: NodeOptions): Promise<ClusterNode> {
  const { estate, topology, place } = options;
  prepareDisk(options);
  await makeNodeNetns(estate, topology, place);
  // After the namespace, so that its processes are ended while it can still be told by its name.
  estate.record({ kind: 'cgroups', name: cgroupOf(options) });
  let pid = await startFirstProcess(options);
  const inside = (argv: Argv): Argv => ['nsenter', `--target=${pid}`, '--mount', '--uts', '--ipc', '--net', ...argv];
  const node: ClusterNode = {
    place,
    inside,
    run: async (argv, runOptions) => run(inside(argv), runOptions),
    importImages: async (archives) => importImages(node, archives),
    processOf: async (container) => processOf(node, container),
    start: (name, argv) => startOnNode(options, node, name, argv),
    reboot: async () => {
      await clearCgroup(cgroupOf(options));
      await deleteNodeNetns(topology, place);
      await makeNodeNetns(estate, topology, place);
      pid = await startFirstProcess(options);
      await startParts(options, node);
    },
  };
  await startParts(options, node);
  return node;
}

async function startParts(options: NodeOptions, node: ClusterNode): Promise<void> {
  const { place, images } = options;
  const containerd = node.start('containerd', [binary('containerd'), '--config', '/etc/sluice-e2e/containerd.toml']);
  const version = node.inside([binary('ctr'), '--address', '/run/containerd/containerd.sock', 'version']);
  await until(`containerd of ${place.name}`, async () => (await run(version)).stdout !== '', {
    timeoutMs: 60_000,
    hopeless: () => (containerd.isRunning() ? undefined : `it has ended:\n${endOfLog(containerd.log)}`),
  });
  await node.importImages(images);
  const flags = [
    '--config=/etc/sluice-e2e/kubelet.json',
    `--kubeconfig=${options.kubeconfig}`,
    `--node-ip=${place.address}`,
  ];
  node.start('kubelet', [binary('kubelet'), ...flags, '--v=2']);
}

function prepareDisk(options: NodeOptions): void {
  const { topology, place, cni, estate } = options;
  for (const folder of layeredFolders) {
    mkdirSync(diskOf(options, folder), { recursive: true });
    mkdirSync(diskOf(options, `/work${folder}`), { recursive: true });
  }
  for (const folder of plainFolders) mkdirSync(diskOf(options, `/plain${folder}`), { recursive: true });
  const etc = diskOf(options, '/etc');
  mkdirSync(join(etc, 'cni', 'net.d'), { recursive: true });
  mkdirSync(join(etc, 'sluice-e2e'), { recursive: true });
  const cniPlugins = dirname(binary('ptp'));
  writeFileSync(join(etc, 'cni', 'net.d', '10-pods.conflist'), cniConflist(cni, place));
  writeFileSync(join(etc, 'sluice-e2e', 'containerd.toml'), containerdConfig({ runc: binary('runc'), cniPlugins }));
  writeFileSync(join(etc, 'sluice-e2e', 'kubelet.json'), kubeletConfig(topology, place, cgroupOf(options)));
  writeFileSync(join(etc, 'sluice-e2e', 'resolv.conf'), 'options timeout:1\n');
  for (const name of kubeletSysctls) estate.recordSysctl(name);
}

/** The first process, with the node's mounts made: everything else is started beside it. Its id outside. */
async function startFirstProcess(options: NodeOptions): Promise<number> {
  const { estate, place, logs } = options;
  const spaces = ['--mount', '--uts', '--ipc', '--propagation', 'private'] as const;
  const argv: Argv = ['nsenter', `--net=/run/netns/${place.netns}`, 'unshare', ...spaces, binary('pause')];
  const name = `${place.name}-init`;
  const first = startDaemon(estate, argv, { name, log: join(logs, `${name}.log`) });
  const { pid, log: firstLog } = first;
  joinCgroup(cgroupOf(options), pid);
  // The namespaces are made once the program in them runs.
  const runsIn = async (): Promise<boolean> => readlinkSync(`/proc/${pid}/exe`) === binary('pause');
  const hopeless = (): string | undefined => (first.isRunning() ? undefined : `it has ended:\n${endOfLog(firstLog)}`);
  await until(`${name} to start`, runsIn, { timeoutMs: 10_000, everyMs: 10, hopeless });
  const inside = async (...command: Argv): Promise<unknown> =>
    run(['nsenter', `--target=${pid}`, '--mount', '--uts', ...command]);
  // Containers may want their mounts to be seen by the node, which a private mount forbids.
  await inside('mount', '--make-rshared', '/');
  await inside('hostname', place.name);
  for (const folder of layeredFolders) {
    const layers = `lowerdir=${folder},upperdir=${diskOf(options, folder)},workdir=${diskOf(options, `/work${folder}`)}`;
    await inside('mount', '-t', 'overlay', '-o', layers, 'overlay', folder);
  }
  for (const folder of plainFolders) {
    await inside('mkdir', '-p', folder);
    await inside('mount', '--bind', diskOf(options, `/plain${folder}`), folder);
  }
  await inside('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run');
  await inside('mkdir', '-p', '/run/netns', '/run/lock');
  return pid;
}

function startOnNode(options: NodeOptions, node: ClusterNode, name: string, argv: Argv): Daemon {
  const { estate, place, logs } = options;
  const path = [dirname(binary('containerd')), dirname(binary('runc')), process.env['PATH'] ?? ''].join(':');
  const full = `${place.name}-${name}`;
  const log = join(logs, `${full}.log`);
  const daemon = startDaemon(estate, node.inside(argv), { name: full, log, env: { PATH: path } });
  joinCgroup(cgroupOf(options), daemon.pid);
  return daemon;
}

async function importImages(node: ClusterNode, archives: readonly string[]): Promise<void> {
  for (const archive of archives) {
    await node.run([...ctr(), 'images', 'import', '--digests=false', archive], { timeoutMs: 300_000 });
  }
}

async function processOf(node: ClusterNode, container: string): Promise<number> {
  const { stdout } = await node.run([...ctr(), 'tasks', 'list']);
  const line = stdout.split('\n').find((task) => task.startsWith(container));
  const [, pid = ''] = line?.split(/\s+/) ?? [];
  if (!/^\d+$/.test(pid)) throw new Error(`${node.place.name}: no container ${container} runs:\n${stdout}`);
  return Number(pid);
}

function ctr(): Argv {
  return [binary('ctr'), '--address', '/run/containerd/containerd.sock', '--namespace', 'k8s.io'];
}

function cgroupOf({ place }: NodeOptions): string {
  return place.netns;
}

/** Where a folder of the node lies on the machine's disk. */
function diskOf({ directory, place }: NodeOptions, folder: string): string {
  return join(directory, 'nodes', place.name, folder);
}
