/** `npm run bench -- service`: what Services cost a node, ours and kube-proxy's, each in a network namespace of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubernetesVersion } from '../e2e/build/recipes.ts';
import { run } from '../src/backends/exec.ts';
import type { IptablesVariant } from '../src/backends/iptables/variant.ts';
import { connectAll, serve } from './connections.ts';
import type { KubeProxyMode } from './kube-proxy.ts';
import { ipBatch, type Netns, withNetns } from './netns.ts';
import { type BenchRow, comparedWith, type PeerFigures, percentileRows, row } from './row.ts';
import {
  clusterIp,
  endpointCidr,
  endpointPort,
  serviceCidr,
  servicePort,
  type ServiceSize,
} from './service-cluster.ts';
import type { Occupied, ServiceCosts } from './service-scenario.ts';
import type { ProxyChoice, WorkerTask } from './service-worker.ts';

export interface ServiceBenchOptions extends ServiceSize {
  readonly variant: IptablesVariant;
  readonly samples: number;
  /** Modes of kube-proxy to measure beside ours. */
  readonly peers: readonly KubeProxyMode[];
}

type Place = Readonly<Record<'client' | 'node' | 'backend', Netns>>;

const largestBench = 10_000;
/** A step that hangs must not stop the machine; on a busy one the largest takes minutes. */
const timeoutMs = 900_000;
const firstPackets = 1000;
/** Where each change takes a second: enough for p50 and max. */
const fewSamples = 50;
const quickSize = 1000;

/** Rows of ours, one more of each for every peer. Throws where an end state is not as it must be. */
export async function benchServices(options: ServiceBenchOptions): Promise<readonly BenchRow[]> {
  const { services, endpoints, variant, peers } = options;
  if (services > largestBench) throw new Error(`${services} Services: expected at most ${largestBench}`);
  const name = `service/${services}x${endpoints}${variant === 'nft' ? '' : `/${variant}`}`;
  const ours = await measured(name, options, { proxy: 'sluice', variant, runDir: '' });
  if (variant === 'nft') ours.push(...occupiedRows(name, await occupiedByBundle({ services, endpoints })));
  const figures: PeerFigures[] = [];
  for (const mode of peers) {
    const rows = await measured(name, options, { proxy: 'kube-proxy', mode });
    const peer = `kube-proxy ${kubernetesVersion.slice(1)} ${mode}`;
    figures.push({ peer, values: new Map(rows.map((own) => [own.name, own.ours])) });
  }
  return comparedWith(ours, figures);
}

/** Rows of one proxy, as if it were ours. */
async function measured(
  name: string,
  { services, endpoints, samples: asked }: ServiceBenchOptions,
  choice: ProxyChoice,
): Promise<BenchRow[]> {
  const isSlow = choice.proxy === 'kube-proxy' || choice.variant === 'legacy';
  const samples = isSlow && services > quickSize ? Math.min(asked, fewSamples) : asked;
  return withNetns(['client', 'node', 'backend'], async (place) => {
    await wire(place);
    const costs = await costsOf(place, { services, endpoints, samples }, choice);
    await mustHold(place, { services, endpoints }, choice);
    const firstPacketMs = await measureFirstPackets(place, services);
    // What ours occupies is measured on the bundle.
    const occupied = choice.proxy === 'kube-proxy' ? occupiedRows(name, costs) : [];
    return [...costRows(name, costs), ...occupied, ...percentileRows(`${name}/first-packet`, 'ms', firstPacketMs)];
  });
}

async function costsOf(
  { node }: Place,
  size: ServiceSize & { readonly samples: number },
  choice: ProxyChoice,
): Promise<ServiceCosts> {
  const runDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const placed = choice.proxy === 'sluice' ? { ...choice, runDir } : choice;
    const answer = await askWorker(node, { measure: 'costs', work: { ...size, ...placed } });
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by service-worker.ts
    return answer as ServiceCosts;
  } finally {
    await rm(runDir, { recursive: true });
  }
}

async function occupiedByBundle(size: ServiceSize): Promise<Occupied> {
  return withNetns(['node'], async ({ node }) => {
    const answer = await askWorker(node, { measure: 'occupied', size });
    const { stdout } = await node.run(['nft', 'list', 'chains', 'ip'], { timeoutMs });
    const chains = count(stdout, /chain KUBE-SVC-/g);
    if (chains !== size.services) throw new Error(`the bundle wrote ${chains} Services, expected ${size.services}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by service-worker.ts
    return answer as Occupied;
  });
}

async function askWorker(node: Netns, task: WorkerTask): Promise<unknown> {
  const worker = join(import.meta.dirname, 'service-worker.ts');
  const argv = node.inside([process.execPath, worker, JSON.stringify(task)]);
  const { stdout } = await run(argv, { timeoutMs });
  return JSON.parse(stdout);
}

function occupiedRows(name: string, costs: Occupied): readonly BenchRow[] {
  return [
    row(`${name}/resident`, 'MB', costs.residentMegabytes),
    row(`${name}/resident-peak`, 'MB', costs.peakMegabytes),
    row(`${name}/rest-cpu`, 's', costs.restCpuSeconds),
  ];
}

function costRows(name: string, costs: ServiceCosts): readonly BenchRow[] {
  return [
    row(`${name}/first-sync`, 's', costs.firstSyncSeconds),
    row(`${name}/first-sync-cpu`, 's', costs.firstSyncCpuSeconds),
    ...percentileRows(`${name}/change`, 'ms', costs.changeMs),
    ...percentileRows(`${name}/added`, 'ms', costs.addedMs),
    ...percentileRows(`${name}/deleted`, 'ms', costs.deletedMs),
    ...(costs.floorMs === undefined ? [] : percentileRows(`${name}/kernel-floor`, 'ms', costs.floorMs)),
  ];
}

/** Client and endpoints are beyond the node, on either side of it; one backend has all endpoint addresses. */
async function wire({ client, node, backend }: Place): Promise<void> {
  await ipBatch(node, [
    `link add client type veth peer name node netns ${client.name}`,
    `link add backend type veth peer name node netns ${backend.name}`,
    'addr add 192.168.77.1/24 dev client',
    'addr add 172.31.255.2/24 dev backend',
    'link set client up',
    'link set backend up',
    `route add ${text(endpointCidr)} via 172.31.255.3`,
  ]);
  await ipBatch(client, [
    'addr add 192.168.77.10/24 dev node',
    'link set node up',
    'route add default via 192.168.77.1',
  ]);
  await ipBatch(backend, [
    'addr add 172.31.255.3/24 dev node',
    'link set node up',
    'route add default via 172.31.255.2',
    `route add local ${text(endpointCidr)} dev lo`,
  ]);
  await node.run(['tee', '/proc/sys/net/ipv4/ip_forward'], { input: '1' });
}

/** Every Service is in the kernel, and the first, the middle and the one that was added last answer. */
async function mustHold(place: Place, size: ServiceSize, choice: ProxyChoice): Promise<void> {
  // One more was added, with one endpoint.
  const [services, endpoints] = [size.services + 1, size.services * size.endpoints + 1];
  const found = await countInKernel(place.node, choice);
  // kube-proxy leaves the chains of endpoints that are gone until its next full sync.
  const most = choice.proxy === 'sluice' ? endpoints : Number.POSITIVE_INFINITY;
  const { endpoints: chains = endpoints } = found;
  if (found.services !== services || chains < endpoints || chains > most) {
    throw new Error(`the kernel holds ${JSON.stringify(found)}, expected ${services} Services, ${endpoints} endpoints`);
  }
  const indices = [0, Math.floor(size.services / 2), size.services];
  const stop = await serve(place.backend, [endpointPort]);
  try {
    const targets = indices.map((index) => ({ address: clusterIp(index), port: servicePort }));
    const results = await connectAll(place.client, targets);
    const silent = results.findIndex(({ ms }) => ms === undefined);
    if (silent >= 0) throw new Error(`nobody answered at Service ${indices[silent]}`);
  } finally {
    await stop();
  }
}

interface Counted {
  readonly services: number;
  /** Absent where they are not told apart. */
  readonly endpoints?: number;
}

async function countInKernel(node: Netns, choice: ProxyChoice): Promise<Counted> {
  if (choice.proxy === 'kube-proxy' && choice.mode === 'nftables') {
    const { stdout } = await node.run(['nft', 'list', 'map', 'ip', 'kube-proxy', 'service-ips']);
    return { services: count(stdout, /goto service-/g) };
  }
  const isLegacy = choice.proxy === 'sluice' && choice.variant === 'legacy';
  const argv = isLegacy ? (['iptables-legacy-save', '-t', 'nat'] as const) : (['nft', 'list', 'chains', 'ip'] as const);
  const { stdout } = await node.run(argv, { timeoutMs });
  const [service, endpoint] = isLegacy ? [/^:KUBE-SVC-/gm, /^:KUBE-SEP-/gm] : [/chain KUBE-SVC-/g, /chain KUBE-SEP-/g];
  return { services: count(stdout, service), endpoints: count(stdout, endpoint) };
}

/** New connections, each to another Service, spread over all of them. */
async function measureFirstPackets(place: Place, services: number): Promise<readonly number[]> {
  const stop = await serve(place.backend, [endpointPort]);
  try {
    const targets = Array.from({ length: firstPackets }, (_, round) => ({
      address: clusterIp((round * 7919) % services),
      port: servicePort,
    }));
    // The first ones warm up what takes them.
    const results = [
      ...(await connectAll(place.client, targets.slice(0, 100))),
      ...(await connectAll(place.client, targets)),
    ];
    return results.slice(100).map(({ ms }) => {
      if (ms === undefined) throw new Error('a connection to a Service was not answered');
      return ms;
    });
  } finally {
    await stop();
  }
}

function count(haystack: string, pattern: RegExp): number {
  return haystack.match(pattern)?.length ?? 0;
}

function text({ address, prefixLength }: typeof serviceCidr): string {
  return `${address}/${prefixLength}`;
}
