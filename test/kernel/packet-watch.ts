/** Packets of chosen flows, sent all the time, every one of them a new flow: which of them arrived, and whether all did. */
import { join } from 'node:path';
import type { RunningProcess } from '../../src/backends/exec.ts';
import { spawnProcess } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { pause } from '../../src/lab/run-directory.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import { inside } from './raw-packets.ts';
import { addressOfPod } from './trap-cluster.ts';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';

export interface WatchPlan {
  readonly lab: LabState;
  readonly families: readonly IpFamily[];
  /** `FROM -> TO`: not one packet may arrive. */
  readonly denied: readonly string[];
  /** Not one packet may be lost. */
  readonly allowed: readonly string[];
}

interface WatchedFlow {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** Of its own, so that arrivals can be told apart. */
  readonly port: number;
  readonly isAllowed: boolean;
}

export interface WatchResult {
  /** Denied flows of which packets arrived, as `name: how many`. */
  readonly leaked: readonly string[];
  /** Allowed flows of which packets did not arrive, as `name: arrived of sent`. */
  readonly lost: readonly string[];
  /** Packets sent for each flow, of the flow with the fewest: a watch that sent nothing has seen nothing. */
  readonly least: number;
}

const firstPort = 42_100;
const everyMs = 5;
const table = 'inet sluice_watch';

export class PacketWatch {
  readonly #flows: readonly WatchedFlow[];
  readonly #directory: string;
  #result: Promise<WatchResult> | undefined;
  readonly #senders: readonly {
    readonly flows: readonly WatchedFlow[];
    readonly file: string;
    readonly process: RunningProcess;
  }[];

  private constructor(flows: readonly WatchedFlow[], directory: string) {
    this.#flows = flows;
    this.#directory = directory;
    this.#senders = [...groupBy(flows, ({ from }) => from)].map(([netns, own], index) => {
      const file = join(directory, `sent-${index}`);
      const script = join(import.meta.dirname, 'steady-packets.pl');
      const targets = own.map(({ port, address }) => `${port}-${address}`);
      const argv = ['nsenter', `--net=/run/netns/${netns}`, 'perl', script, String(everyMs), ...targets] as const;
      return { flows: own, file, process: spawnProcess(argv, { stdout: { file } }) };
    });
  }

  static async start({ lab, families, denied, allowed }: WatchPlan): Promise<PacketWatch> {
    const arrows = [...denied, ...allowed].flatMap((arrow) => families.map((family) => [arrow, family] as const));
    const flows = arrows.map(([arrow, family], index): WatchedFlow => {
      const [from = '', to = ''] = arrow.split(' -> ');
      return {
        name: `${arrow} ${family}`,
        from: namespaceOf(lab, from),
        to: namespaceOf(lab, to),
        address: addressOfPod(lab, to, family),
        port: firstPort + index,
        isAllowed: allowed.includes(arrow),
      };
    });
    for (const [netns, own] of groupBy(flows, ({ to }) => to)) {
      const rules = own.map(({ port }) => `add rule ${table} arrivals udp dport ${port} counter comment "${port}"`);
      const hook = `add chain ${table} arrivals { type filter hook prerouting priority -400; }`;
      await inside(netns, ['nft', '-f', '-'], `${[`add table ${table}`, hook, ...rules].join('\n')}\n`);
    }
    return new PacketWatch(flows, await mkdtemp(join(tmpdir(), 'sluice-watch-')));
  }

  /** Ends it, and takes what it needed out of the pods; the same answer the second time. */
  stop(): Promise<WatchResult> {
    this.#result ??= this.#stop();
    return this.#result;
  }

  async #stop(): Promise<WatchResult> {
    const sent = new Map<number, number>();
    for (const { process } of this.#senders) process.kill('SIGTERM');
    for (const { flows, file, process } of this.#senders) {
      await process.exited;
      const counts = (await readFile(file, 'utf8')).trim().split(' ').map(Number);
      for (const [index, { port }] of flows.entries()) sent.set(port, counts[index] ?? 0);
    }
    // What is on its way arrives within a few milliseconds.
    await pause(100);
    const arrived = new Map<number, number>();
    for (const netns of new Set(this.#flows.map(({ to }) => to))) {
      const listed = await inside(netns, ['nft', 'list', 'table', ...table.split(' ')]);
      for (const [, packets, port] of listed.matchAll(/counter packets (\d+) bytes \d+ comment "(\d+)"/g))
        arrived.set(Number(port), Number(packets));
      await inside(netns, ['nft', 'delete', 'table', ...table.split(' ')]);
    }
    await rm(this.#directory, { recursive: true });
    return this.#judge(sent, arrived);
  }

  #judge(sent: ReadonlyMap<number, number>, arrived: ReadonlyMap<number, number>): WatchResult {
    const counts = this.#flows.map((flow) => ({
      ...flow,
      sent: sent.get(flow.port) ?? 0,
      arrived: arrived.get(flow.port) ?? 0,
    }));
    return {
      leaked: counts.filter((one) => !one.isAllowed && one.arrived > 0).map((one) => `${one.name}: ${one.arrived}`),
      lost: counts
        .filter((one) => one.isAllowed && one.arrived !== one.sent)
        .map((one) => `${one.name}: ${one.arrived} of ${one.sent}`),
      least: Math.min(...counts.map((one) => one.sent)),
    };
  }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(items, keyOf);
}
