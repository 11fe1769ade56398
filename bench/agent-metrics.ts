/** What agents say of their latency, as Prometheus would read it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectKind } from '../src/cluster/objects.ts';
import type { Netns } from './netns.ts';

export interface LatencySum {
  /** Changes. */
  readonly count: number;
  readonly milliseconds: number;
}

type Nodes = readonly { readonly netns: Netns }[];

/** As `programmingLatency`, once nothing is under way any more. */
export async function settledLatency(nodes: Nodes, kind: ObjectKind): Promise<LatencySum> {
  let last = await programmingLatency(nodes, kind);
  for (;;) {
    await sleep(1000);
    const next = await programmingLatency(nodes, kind);
    if (next.count === last.count) return next;
    last = next;
  }
}

/** Of changes of one kind since each agent began, all nodes together: from the arrival of a change to the kernel. */
async function programmingLatency(nodes: Nodes, kind: ObjectKind): Promise<LatencySum> {
  let [count, milliseconds] = [0, 0];
  for (const { netns } of nodes) {
    const { stdout } = await netns.run(['curl', '-sSf', 'http://127.0.0.1:9840/metrics']);
    const value = (what: string): number => {
      const found = stdout
        .split('\n')
        .find((line) => line.startsWith(`sluice_programming_latency_seconds_${what}{kind="${kind}"} `));
      return Number(found?.split(' ').at(-1) ?? 0);
    };
    count += value('count');
    milliseconds += value('sum') * 1000;
  }
  return { count, milliseconds };
}
