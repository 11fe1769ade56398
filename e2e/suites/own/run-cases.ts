/** Runs cases of our own on a cluster, one after the other; a failed one does not keep the next from running. */
import { mkdirSync } from 'node:fs';
import { MachineError, messageOf } from '../../build/machine.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { CaseResult, SuiteContext } from '../suite.ts';

export interface OwnCase {
  readonly name: string;
  readonly run: (cluster: Cluster, tell: (line: string) => void) => Promise<void>;
}

export async function runCases(cases: readonly OwnCase[], context: SuiteContext): Promise<readonly CaseResult[]> {
  const { target, focus, results, progress } = context;
  const { cluster } = target;
  if (cluster === undefined)
    throw new MachineError('own specs enter the nodes: they run on a cluster that is built here alone');
  mkdirSync(results, { recursive: true });
  const chosen = cases.filter(({ name }) => focus === undefined || new RegExp(focus).test(name));
  const done: CaseResult[] = [];
  for (const { name, run } of chosen) {
    const started = performance.now();
    const failure = await failureOf(async () => run(cluster, progress));
    const seconds = (performance.now() - started) / 1000;
    done.push({
      name,
      seconds,
      ...(failure === undefined ? { outcome: 'passed' } : { outcome: 'failed', message: failure }),
    });
    progress(`${failure === undefined ? 'passed' : 'failed'} ${Math.round(seconds)} s: ${name}`);
    if (failure !== undefined) progress(failure);
  }
  return done;
}

async function failureOf(body: () => Promise<void>): Promise<string | undefined> {
  try {
    await body();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
