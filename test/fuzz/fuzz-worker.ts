/**
 * The process in which the cases run, so that one that hangs or eats the memory is ended from outside. Argument: a FuzzOrder as JSON.
 * Before each case it is written to `order.current`; what is found is told, shrunk, by a message.
 */
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { run } from '../../src/backends/exec.ts';
import { someCase } from './arbitrary-case.ts';
import type { FuzzCase } from './fuzz-case.ts';
import { judge } from './judge.ts';
import { KernelLoad } from './kernel-load.ts';

export interface FuzzOrder {
  readonly seed: number;
  readonly seconds: number;
  /** Where the case at hand is kept, for whoever must end us. */
  readonly current: string;
  /** Network namespaces to load into; absent: nothing is loaded (without root). */
  readonly netns?: { readonly nft: string; readonly legacy: string };
}

export type FuzzMessage =
  | { readonly type: 'case' }
  /** After a collection. */
  | { readonly type: 'memory'; readonly cases: number; readonly heapMb: number; readonly residentMb: number }
  | { readonly type: 'found'; readonly message: string; readonly seed: number; readonly found: FuzzCase }
  | { readonly type: 'end'; readonly cases: number };

const roundSize = 25;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by run.ts
const order = JSON.parse(process.argv[2] ?? '') as FuzzOrder;
setFlagsFromString('--expose-gc');
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the flag has just made it
const collect = runInNewContext('gc') as () => void;
const kernels = kernelsOf(order);
let cases = 0;

await work();
tell({ type: 'end', cases });
process.disconnect();

async function work(): Promise<void> {
  const end = Date.now() + order.seconds * 1000;
  for (let round = 0; Date.now() < end; round += 1) {
    const seed = order.seed + round;
    const details = await fc.check(fc.asyncProperty(someCase, tryCase), {
      seed,
      numRuns: roundSize,
      interruptAfterTimeLimit: 120_000,
    });
    if (details.failed && details.counterexample !== null) {
      const [found] = details.counterexample;
      tell({ type: 'found', message: String(details.errorInstance), seed, found });
      return;
    }
    collect();
    const { heapUsed, rss } = process.memoryUsage();
    tell({ type: 'memory', cases, heapMb: heapUsed / 2 ** 20, residentMb: rss / 2 ** 20 });
  }
}

async function tryCase(one: FuzzCase): Promise<void> {
  writeFileSync(order.current, JSON.stringify(one));
  tell({ type: 'case' });
  cases += 1;
  const dataplanes = await judge(one);
  const load = kernels[cases % Math.max(1, kernels.length)];
  for (const dataplane of dataplanes) await load?.load(dataplane, cases % 5 === 0);
}

function kernelsOf({ netns }: FuzzOrder): readonly KernelLoad[] {
  if (netns === undefined) return [];
  return (['nft', 'legacy'] as const).map(
    (variant) =>
      new KernelLoad(
        (argv, options) => run(['nsenter', `--net=/run/netns/${netns[variant]}`, ...argv], options),
        variant,
      ),
  );
}

function tell(message: FuzzMessage): void {
  process.send?.(message);
}
