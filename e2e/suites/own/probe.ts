/** Probes that never pause, from a pod's own network namespace: what has to stay closed and what has to stay open while agents come and go. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from '../../cluster/cluster.ts';
import { startDaemon } from '../../cluster/daemon.ts';
import { countArrivals } from './arrivals.ts';
import { placeOf, serviceAddress, ways } from './demo.ts';

export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
  readonly expect: 'allowed' | 'denied';
}

export interface ProbeReport {
  readonly deniedAttempts: number;
  readonly deniedPassed: number;
  readonly allowedAttempts: number;
  readonly allowedFailed: number;
  /** Slowest allowed connection. */
  readonly slowestMs: number;
  /** Requests over connections that are kept. */
  readonly keptRequests: number;
  readonly keptBroken: number;
  /** What connections ended with, other than no answer. */
  readonly errors: Record<string, number>;
}

const worker = join(import.meta.dirname, 'probe-worker.ts');
/** Some fifteen denied attempts a second. */
const leastMs = 12_000;
let count = 0;

/**
 * Probes every way of the demo, by Service and by the pod's address, while `body` runs and for twelve seconds at least; what was tried and seen, as text. Throws when a
 * packet passed that must not, an allowed connection failed or broke, or so little was tried that it says nothing.
 */
export async function underProbe(cluster: Cluster, body: () => Promise<void>): Promise<string> {
  const clients = [...new Set(ways.map(({ from }) => from))];
  const arrivals = await countArrivals(cluster);
  const probes = await Promise.all(clients.map(async (client) => startProbe(cluster, client)));
  const begun = Date.now();
  try {
    await body();
    // What comes soon after counts as well, and of a disturbance that is over in a moment too little would be tried.
    await pause(Math.max(0, begun + leastMs - Date.now()));
  } finally {
    await Promise.all(probes.map(async ({ stop }) => stop()));
  }
  const report = probes.map(({ read }) => read()).reduce(addReports);
  const arrived = await arrivals.stop();
  const text = `${JSON.stringify(report)}; arrived: ${arrived.map(({ from, to, packets }) => `${from} -> ${to} ${packets}`).join(', ')}`;
  const wrong = arrived.filter(({ expect, packets }) => (expect === 'denied') === packets > 0);
  if (wrong.length > 0) throw new Error(`arrived, or did not, at the pods themselves: ${text}`);
  if (report.deniedPassed > 0) throw new Error(`packets passed that must not: ${text}`);
  if (report.allowedFailed + report.keptBroken > 0) throw new Error(`allowed connections broke: ${text}`);
  if (Math.min(report.deniedAttempts, report.allowedAttempts, report.keptRequests) < 100) {
    throw new Error(`too few probes to say anything: ${text}`);
  }
  return text;
}

interface Probe {
  readonly stop: () => Promise<void>;
  readonly read: () => ProbeReport;
}

async function startProbe(cluster: Cluster, client: string): Promise<Probe> {
  const { node: nodeName, container } = await placeOf(cluster, client);
  const node = cluster.nodes.find(({ place }) => place.name === nodeName);
  if (node === undefined) throw new Error(`${client} is on ${nodeName}, which is no node of this cluster`);
  const pid = await node.processOf(container);
  const targets = (
    await Promise.all(ways.filter(({ from }) => from === client).map(async (way) => targetsOf(cluster, way)))
  ).flat();
  count += 1;
  const log = join(cluster.logs, 'own', `probe-${count}-${client}.log`);
  const argv = ['nsenter', `--net=/proc/${pid}/ns/net`, process.execPath, worker, JSON.stringify(targets)] as const;
  const daemon = startDaemon(cluster.estate, argv, { name: `probe-${client}`, log });
  return {
    stop: async () => daemon.stop(20_000),
    read: () => {
      const line = readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '';
      if (!line.startsWith('{')) throw new Error(`the probe of ${client} did not report: see ${log}`);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by probe-worker.ts
      return JSON.parse(line) as ProbeReport;
    },
  };
}

async function targetsOf(
  cluster: Cluster,
  { to, expect }: { readonly to: string; readonly expect: ProbeTarget['expect'] },
): Promise<readonly ProbeTarget[]> {
  const hosts = [await serviceAddress(cluster, to), (await placeOf(cluster, to)).address];
  return hosts.map((host) => ({ host, port: 80, expect }));
}

function addReports(one: ProbeReport, other: ProbeReport): ProbeReport {
  return {
    deniedAttempts: one.deniedAttempts + other.deniedAttempts,
    deniedPassed: one.deniedPassed + other.deniedPassed,
    allowedAttempts: one.allowedAttempts + other.allowedAttempts,
    allowedFailed: one.allowedFailed + other.allowedFailed,
    slowestMs: Math.max(one.slowestMs, other.slowestMs),
    keptRequests: one.keptRequests + other.keptRequests,
    keptBroken: one.keptBroken + other.keptBroken,
    errors: { ...one.errors, ...other.errors },
  };
}
