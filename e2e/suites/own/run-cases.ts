/** Runs cases of our own on a cluster, one after the other; a failed one does not keep the next from running. */
import { mkdirSync } from 'node:fs';
import { messageOf } from '../../build/machine.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { CaseResult, SuiteContext, Target } from '../suite.ts';

/** What any cluster gives, built here or not. */
export interface Place extends Pick<Cluster, 'kubeconfig' | 'inside' | 'kubectl'> {
  readonly topology: { readonly nodes: readonly { readonly name: string }[] };
}

type Run<Where> = (where: Where, tell: (line: string) => void) => Promise<void>;

/** `run` enters the nodes, or knows how the cluster was made. */
export type OwnCase = { readonly name: string } & (
  | { readonly run: Run<Cluster> }
  | { readonly runAnywhere: Run<Place> }
);

export async function runCases(cases: readonly OwnCase[], context: SuiteContext): Promise<readonly CaseResult[]> {
  const { target, focus, results, progress } = context;
  mkdirSync(results, { recursive: true });
  const chosen = cases.filter(({ name }) => focus === undefined || new RegExp(focus).test(name));
  const done: CaseResult[] = [];
  for (const one of chosen) {
    const { name } = one;
    const run = runOn(one, target);
    if (run === undefined) {
      done.push({ name, seconds: 0, outcome: 'skipped', message: notHere });
      progress(`skipped: ${name}: ${notHere}`);
      continue;
    }
    const started = performance.now();
    const failure = await failureOf(async () => run(progress));
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

const notHere = 'enters the nodes, which a cluster that was not built here does not let it';

function runOn(one: OwnCase, target: Target): ((tell: (line: string) => void) => Promise<void>) | undefined {
  const { cluster, nodeNames } = target;
  if ('runAnywhere' in one) {
    const topology = { nodes: nodeNames.map((name) => ({ name })) };
    return async (tell) => one.runAnywhere({ ...target, topology }, tell);
  }
  return cluster === undefined ? undefined : async (tell) => one.run(cluster, tell);
}

async function failureOf(body: () => Promise<void>): Promise<string | undefined> {
  try {
    await body();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
