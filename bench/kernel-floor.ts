/** What nf_tables alone takes for the smallest transaction with a rule, over the rules that are there: no change of iptables rules can be faster. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from '../src/backends/exec.ts';
import { converse } from '../src/backends/exec.ts';
import { RestoreSession } from '../src/backends/iptables/restore-session.ts';
import { restoreArgv } from '../src/backends/iptables/iptables.ts';
import type { TableName } from '../src/dataplane/rule.ts';
import type { IpFamily } from '../src/lib/ip.ts';

const pauseMs = 20;
/** Nothing refers to it, and it is gone in the end. */
const chain = 'SLUICE-BENCH-FLOOR';

export interface FloorPlace {
  readonly family: IpFamily;
  readonly table: TableName;
  /** Puts a program into the namespace of the node. Default: it is ours. */
  readonly inside?: (argv: Argv) => Argv;
}

/** Milliseconds of each. */
export async function measureKernelFloor(samples: number, place: FloorPlace): Promise<readonly number[]> {
  const { family, table, inside = (argv: Argv) => argv } = place;
  const session = new RestoreSession({ converse, argv: inside(restoreArgv(family, 'nft')) });
  const commit = async (...lines: readonly string[]): Promise<void> => {
    const text = [`*${table}`, `:${chain} - -`, ...lines, 'COMMIT', ''].join('\n');
    if ((await session.commit(text)) !== 'done') throw new Error('a transaction of one rule failed');
  };
  const taken: number[] = [];
  // The first one starts the program.
  await commit();
  for (let round = 0; round < samples; round++) {
    const started = performance.now();
    await commit(`-A ${chain} -j RETURN`);
    taken.push(performance.now() - started);
    await sleep(pauseMs);
  }
  await commit(`-X ${chain}`);
  return taken;
}
