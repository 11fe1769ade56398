/** Who reaches whom, by real curl from pod to Service name, beside what is expected. */
import type { CommandResult } from '../../backends/exec.ts';
import { CommandError, run } from '../../backends/exec.ts';
import { exitCodes } from '../exit-code.ts';
import type { CommandIo } from '../io.ts';

/** One curl of the table. `detail`: the answer's first line, or curl's own word for the failure. */
export interface Cell {
  readonly from: string;
  readonly to: string;
  readonly reached: boolean;
  readonly expected: boolean;
  readonly detail: string;
}

export interface Workload {
  /** As people call it; also the name of its Service. */
  readonly name: string;
  /** Pod. */
  readonly pod: string;
  /** Network namespace of the pod. */
  readonly netns: string;
}

const timeoutSeconds = 2;

/** The command that each cell stands for. */
export function curlOf(to: string): readonly [string, ...string[]] {
  return ['curl', '-sS', '--max-time', String(timeoutSeconds), to];
}

/** Every ordered pair, itself included, all at once. */
export async function connectivity(
  workloads: readonly Workload[],
  isExpected: (from: string, to: string) => boolean,
): Promise<readonly Cell[]> {
  const pairs = workloads.flatMap((from) => workloads.map((to) => ({ from, to })));
  return Promise.all(
    pairs.map(async ({ from, to }) => {
      const expected = isExpected(from.name, to.name);
      const answer = await curl(from, to);
      // An answer by another pod is no answer: the name must lead to its own pod.
      return { from: from.name, to: to.name, expected, reached: answer === to.pod, detail: answer };
    }),
  );
}

async function curl(from: Workload, to: Workload): Promise<string> {
  try {
    const answer: CommandResult = await run(['ip', 'netns', 'exec', from.netns, ...curlOf(to.name)]);
    return answer.stdout.split('\n')[0] ?? '';
  } catch (error) {
    if (error instanceof CommandError) return error.stderr.trim().split('\n')[0] ?? '';
    throw error;
  }
}

/** Rows and columns are workloads; `!` marks a cell that is not as expected. */
export function connectivityTable(cells: readonly Cell[]): readonly (readonly string[])[] {
  const names = [...new Set(cells.map(({ from }) => from))];
  return names.map((from) => [
    from,
    ...names.map((to) => {
      const cell = cells.find((candidate) => candidate.from === from && candidate.to === to);
      const word = cell?.reached === true ? 'yes' : 'no';
      return cell?.reached === cell?.expected ? word : `${word} !`;
    }),
  ]);
}

/** What is not as expected, a line each, and the exit code: 0 only if there is nothing. */
export function summarize(io: Pick<CommandIo, 'out' | 'error' | 'exitCode'>, cells: readonly Cell[]): void {
  const wrong = cells.filter(({ reached, expected }) => reached !== expected);
  for (const { from, to, reached, detail } of wrong) {
    io.error(`sluice: ${from} ${reached ? 'reached' : 'did not reach'} ${to}: ${detail}\n`);
  }
  io.out(`\n${cells.length - wrong.length} of ${cells.length} connections as expected\n`);
  io.exitCode = wrong.length === 0 ? exitCodes.done : exitCodes.failed;
}
