/**
 * Counts, in the receiving pods themselves, the connections that others try to open: whether a denied one passed is not for its
 * sender to say, whose patience may have ended before the answer came.
 */
import type { Argv } from '../../../src/backends/exec.ts';
import { run } from '../../../src/backends/exec.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { placeOf, ways, type Way } from './demo.ts';

export interface Arrival extends Way {
  /** First packets of connections that reached the pod. */
  readonly packets: number;
}

export interface ArrivalCounters {
  /** What arrived since the start; takes the counters away. */
  stop(): Promise<readonly Arrival[]>;
}

const table = 'ip sluice_arrivals';
const port = 80;

/** Counters for every way of the demo, by the sender's address. */
export async function countArrivals(cluster: Cluster): Promise<ArrivalCounters> {
  const receivers = await Promise.all(
    [...Map.groupBy(ways, ({ to }) => to)].map(async ([to, own]) => {
      const inPod = await insidePod(cluster, to);
      const senders = await Promise.all(
        own.map(async (way) => ({ way, address: (await placeOf(cluster, way.from)).address })),
      );
      const rules = senders.map(
        ({ way, address }) =>
          `add rule ${table} arrivals ip saddr ${address} tcp dport ${port} tcp flags & (syn | ack) == syn counter comment "${way.from}"`,
      );
      const hook = `add chain ${table} arrivals { type filter hook prerouting priority -400; }`;
      const text = [`add table ${table}`, `delete table ${table}`, `add table ${table}`, hook, ...rules].join('\n');
      await run(inPod(['nft', '-f', '-']), { input: `${text}\n` });
      return { own, inPod };
    }),
  );
  return {
    stop: async () =>
      (
        await Promise.all(
          receivers.map(async ({ own, inPod }) => {
            const { stdout } = await run(inPod(['nft', 'list', 'table', ...table.split(' ')]));
            await run(inPod(['nft', 'delete', 'table', ...table.split(' ')]));
            const counted = new Map(
              [...stdout.matchAll(/counter packets (\d+) bytes \d+ comment "([^"]+)"/g)].map(([, packets, from]) => [
                from,
                Number(packets),
              ]),
            );
            return own.map((way) => ({ ...way, packets: packetsOf(counted.get(way.from), way, stdout) }));
          }),
        )
      ).flat(),
  };
}

function packetsOf(packets: number | undefined, { from, to }: Way, listed: string): number {
  if (packets === undefined) throw new Error(`no counter for ${from} in ${to}:\n${listed}`);
  return packets;
}

async function insidePod(cluster: Cluster, pod: string): Promise<(argv: Argv) => Argv> {
  const { node: name, container } = await placeOf(cluster, pod);
  const node = cluster.nodes.find(({ place }) => place.name === name);
  if (node === undefined) throw new Error(`${pod} is on ${name}, which is no node of this cluster`);
  const pid = await node.processOf(container);
  return (argv) => ['nsenter', `--net=/proc/${pid}/ns/net`, ...argv];
}
