/** Kubernetes' own end-to-end tests (e2e.test), with a choice of specs. */
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, run } from '../../src/backends/exec.ts';
import { binary, buildAll } from '../build/build.ts';
import { readJunit } from './junit.ts';
import type { CaseResult, SuiteContext } from './suite.ts';

export interface Choice {
  /** Regular expression (Go's) of spec names. */
  readonly focus: string;
  readonly skip?: string;
  /** How many specs that must be; absent: at least one. */
  readonly count?: number;
}

/** The choice of a list: one line each that a spec's name has up to its end or its tags; `#` begins a remark. */
export function choiceOf(file: string): Choice {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  return { focus: lines.map((line) => String.raw`${escapeForGo(line)}( \[|$)`).join('|'), count: lines.length };
}

/**
 * Runs the chosen specs one after the other; progress tells each as it ends. Throws when the program could not run, or ran
 * another number of specs than the list has: a list that names no spec would pass by testing nothing.
 */
export async function runUpstream(context: SuiteContext, choice: Choice): Promise<readonly CaseResult[]> {
  const { target, results, progress } = context;
  await buildAll(['e2e.test', 'kubectl'], progress);
  mkdirSync(results, { recursive: true });
  const [report, logFile] = [join(results, 'junit.xml'), join(results, 'e2e.test.log')];
  const log = createWriteStream(logFile);
  const teller = new SpecTeller(progress);
  const argv = target.inside([binary('e2e.test'), ...flagsOf(context, choice, report)]);
  let failure: CommandError | undefined;
  try {
    await run(['nice', '-n', '5', ...argv], {
      timeoutMs: 4 * 3_600_000,
      onStdout: (piece) => {
        log.write(piece, 'latin1');
        teller.hear(piece);
      },
    });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    failure = error;
  } finally {
    log.end();
  }
  const cases = readReport(report, failure, logFile);
  if (choice.count !== undefined && cases.length !== choice.count) {
    throw new Error(`${cases.length} specs ran, the list has ${choice.count}: see ${logFile}`);
  }
  if (cases.length === 0) throw new Error(`no spec is called ${choice.focus}: see ${logFile}`);
  return cases;
}

function flagsOf({ target }: SuiteContext, choice: Choice, report: string): readonly string[] {
  return [
    `--kubeconfig=${target.kubeconfig}`,
    '--provider=skeleton',
    `--num-nodes=${target.nodeCount}`,
    `--kubectl-path=${binary('kubectl')}`,
    `--ginkgo.focus=${choice.focus}`,
    ...(choice.skip === undefined ? [] : [`--ginkgo.skip=${choice.skip}`]),
    `--ginkgo.junit-report=${report}`,
    '--ginkgo.no-color',
    '--ginkgo.v',
    '--ginkgo.timeout=4h',
    '--disable-log-dump=true',
  ];
}

function readReport(report: string, failure: CommandError | undefined, logFile: string): readonly CaseResult[] {
  try {
    return readJunit(readFileSync(report, 'utf8'));
  } catch (error) {
    const cause = failure?.message ?? 'it wrote no report';
    throw new Error(`e2e.test: ${cause}: see ${logFile}`, { cause: error });
  }
}

/** Hears the program's output, and tells a line for each spec that ends. */
class SpecTeller {
  readonly #progress: (line: string) => void;
  #rest = '';
  #current: string | undefined;
  #count = 0;

  constructor(progress: (line: string) => void) {
    this.#progress = progress;
  }

  hear(piece: string): void {
    const lines = `${this.#rest}${piece}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    // A spec's name comes when it begins; when it ends, "• [12.3 seconds]" or "• [FAILED] [12.3 seconds]".
    if (line.startsWith('[sig-')) this.#current = line.trim();
    const [, kind = 'passed', seconds] = /^\S+ (?:\[(\w+)\] )?\[(\d+\.\d+) seconds\]/.exec(line) ?? [];
    if (seconds === undefined || this.#current === undefined) return;
    this.#count += 1;
    this.#progress(`${this.#count} ${kind.toLowerCase()} ${Math.round(Number(seconds))} s: ${this.#current}`);
    this.#current = undefined;
  }
}

function escapeForGo(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
