/** What a soak promises, and whether it was kept. */
import type { LabState } from '../../src/lab/run-directory.ts';
import { latencyBetween } from './agents.ts';
import { endStateDifferences } from './end-state.ts';
import type { SoakResult, SoakSample } from './soak.ts';

export interface SoakVerdict {
  readonly what: string;
  readonly problem?: string;
}

export async function judgeSoak(
  result: SoakResult,
  lab: LabState,
  nodes: readonly string[],
): Promise<readonly SoakVerdict[]> {
  const ends: SoakVerdict[] = [];
  for (const node of nodes) ends.push(await endStateVerdict(lab, node));
  return [...judgeSamples(result), ...ends];
}

/** All that is known without a kernel: rate, flows, memory, latency, failures. */
export function judgeSamples(result: SoakResult): readonly SoakVerdict[] {
  const { flows, changes, wantedChanges, samples } = result;
  const { allowed, denied } = flows;
  const first = result.flowProblems.slice(0, 3).join('; ');
  return [
    verdict(`${changes} of ${wantedChanges} changes made`, changes >= wantedChanges * 0.95),
    verdict(
      `${denied.tried} denied connections tried, ${denied.passed} let through`,
      denied.tried > 0 && denied.passed === 0,
      first,
    ),
    verdict(
      `${allowed.tried} allowed connections tried, ${allowed.failed} failed, ${allowed.slow} needed a second SYN, slowest ${allowed.worstMs} ms`,
      allowed.tried > 0 && allowed.failed === 0,
      first,
    ),
    ...memoryVerdicts(samples),
    ...latencyVerdicts(samples),
    processVerdict(samples),
  ];
}

function memoryVerdicts(samples: readonly SoakSample[]): readonly SoakVerdict[] {
  const [early, late] = quarters(samples);
  return (samples[0]?.agents ?? []).flatMap(({ node }, index) =>
    (['residentMb', 'heapMb'] as const).map((key) => {
      // A heap is a saw between collections: its floor is what stays.
      const of = (part: readonly SoakSample[]): number =>
        quantile(
          part.map(({ agents }) => agents[index]?.[key] ?? 0),
          key === 'heapMb' ? 0.2 : 0.5,
        );
      const [before, after] = [of(early), of(late)];
      const what = `${node}: ${key === 'heapMb' ? 'heap at its lowest' : 'resident'} ${before.toFixed(1)} -> ${after.toFixed(1)} MB (second quarter -> last)`;
      return verdict(what, after < before * 1.1 + 3, 'grows');
    }),
  );
}

/** Twice as long is no noise of a shared machine any more. */
function latencyVerdicts(samples: readonly SoakSample[]): readonly SoakVerdict[] {
  const [early, late] = quarters(samples);
  const of = (part: readonly SoakSample[]) => latencyBetween(part[0]?.agents ?? [], part.at(-1)?.agents ?? []);
  const marker = (part: readonly SoakSample[]): number => median(part.flatMap(({ markerMs }) => markerMs));
  const whole = of(samples);
  const [before, after] = [of(early), of(late)];
  const markers = samples.flatMap(({ markerMs }) => markerMs).toSorted((left, right) => left - right);
  const p99 = markers[Math.floor(markers.length * 0.99)] ?? 0;
  return [
    verdict(
      `agent: change to kernel mean ${before.meanMs.toFixed(1)} -> ${after.meanMs.toFixed(1)} ms; of all ${whole.count}: mean ${whole.meanMs.toFixed(1)}, p50 <= ${whole.p50Ms}, p99 <= ${whole.p99Ms} ms`,
      after.meanMs < before.meanMs * 2 + 5,
      'grows',
    ),
    verdict(
      `file to the kernels of all nodes p50 ${marker(early).toFixed(0)} -> ${marker(late).toFixed(0)} ms; of all ${markers.length}: p50 ${median(markers).toFixed(0)}, p99 ${p99.toFixed(0)} ms`,
      marker(late) < marker(early) * 2 + 20,
      'grows',
    ),
  ];
}

function processVerdict(samples: readonly SoakSample[]): SoakVerdict {
  const [first, last] = [samples[0]?.agents ?? [], samples.at(-1)?.agents ?? []];
  const isSame = first.every(({ pid }, index) => pid > 0 && pid === last[index]?.pid);
  const failures = last.reduce((sum, agent) => sum + agent.failures, 0);
  const repairs = last.reduce((sum, agent) => sum + agent.driftRepairs, 0);
  const what = `the same agents to the end, ${failures} failed updates, ${repairs} repairs`;
  return verdict(what, isSame && failures === 0 && repairs === 0);
}

async function endStateVerdict(lab: LabState, node: string): Promise<SoakVerdict> {
  const differences = await endStateDifferences(lab, node);
  const what = `${node}: the kernel at the end is what render prints, loaded into an empty one`;
  return verdict(
    what,
    differences.length === 0,
    `${differences.length} lines differ: ${differences.slice(0, 6).join(' | ')}`,
  );
}

function verdict(what: string, isKept: boolean, problem = ''): SoakVerdict {
  return isKept ? { what } : { what, problem: problem === '' ? 'not as promised' : problem };
}

/** The second quarter and the last: caches fill in the first. */
function quarters(samples: readonly SoakSample[]): readonly [readonly SoakSample[], readonly SoakSample[]] {
  const size = Math.max(2, Math.floor(samples.length / 4));
  return [samples.slice(size, 2 * size), samples.slice(-size)];
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length * share)] ?? 0;
}
