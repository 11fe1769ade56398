/** Kubernetes' own end-to-end tests (e2e.test), with a choice of specs. */
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, run } from '../../src/backends/exec.ts';
import { binary, buildAll } from '../build/build.ts';
import { readJunit } from './junit.ts';
import { escapeForGo, focusOf, sharesOf } from './shares.ts';
import { SpecTeller } from './spec-teller.ts';
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
 * Runs the chosen specs, dealt out to as many test programs as `processes` says; progress tells each as it ends. Throws when the
 * program could not run, or ran another number of specs than the list has: a list that names no spec would pass by testing nothing.
 */
export async function runUpstream(context: SuiteContext, choice: Choice): Promise<readonly CaseResult[]> {
  const { results, progress, processes } = context;
  await buildAll(['e2e.test', 'kubectl'], progress);
  mkdirSync(results, { recursive: true });
  const chosen = await chosenSpecs(context, choice);
  let ended = 0;
  const tell = (line: string): void => progress(`${(ended += 1)} of ${chosen.length} ${line}`);
  const runShare = async (names: readonly string[], label: string): Promise<readonly CaseResult[]> => {
    const teller = new SpecTeller(tell);
    return runSpecs(context, {
      flags: [`--ginkgo.focus=${focusOf(names)}`],
      label,
      hear: (piece) => teller.hear(piece),
    });
  };
  const [beside, alone] = [chosen.filter((name) => !isSerial(name)), chosen.filter(isSerial)];
  const shares = sharesOf(beside, processes);
  const done = await Promise.all(shares.map(async (names, index) => runShare(names, `-${index + 1}`)));
  if (alone.length > 0) done.push(await runShare(alone, '-serial'));
  const cases = done.flat();
  const ran = cases.filter(({ name }) => name.startsWith('[sig-')).length;
  if (ran !== chosen.length) throw new Error(`${ran} specs ran, ${chosen.length} were chosen: see ${results}`);
  return cases;
}

/** Upstream's mark of a spec that may not run beside others. */
function isSerial(name: string): boolean {
  return name.includes('[Serial]');
}

/** Names of the specs of a choice, asked of the program itself. */
async function chosenSpecs(context: SuiteContext, { focus, skip, count }: Choice): Promise<readonly string[]> {
  const flags = [
    '--ginkgo.dry-run',
    `--ginkgo.focus=${focus}`,
    ...(skip === undefined ? [] : [`--ginkgo.skip=${skip}`]),
  ];
  const cases = await runSpecs(context, { flags, label: '-choice', hear: () => undefined });
  const names = cases.map(({ name }) => name).filter((name) => name.startsWith('[sig-'));
  const wanted = count ?? Math.max(names.length, 1);
  if (names.length !== wanted) throw new Error(`${names.length} specs are chosen, not ${wanted}: ${focus}`);
  return names;
}

interface SpecRun {
  readonly flags: readonly string[];
  /** Tells the files of this run from those of others. */
  readonly label: string;
  readonly hear: (piece: string) => void;
}

async function runSpecs(context: SuiteContext, { flags, label, hear }: SpecRun): Promise<readonly CaseResult[]> {
  const { target, results } = context;
  const [report, logFile] = [join(results, `junit${label}.xml`), join(results, `e2e.test${label}.log`)];
  const log = createWriteStream(logFile);
  const argv = target.inside([binary('e2e.test'), ...flagsOf(context, report), ...flags]);
  let failure: CommandError | undefined;
  try {
    await run(['nice', '-n', '5', ...argv], {
      timeoutMs: 4 * 3_600_000,
      onStdout: (piece) => {
        log.write(piece, 'latin1');
        hear(piece);
      },
    });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    failure = error;
  } finally {
    log.end();
  }
  return readReport(report, failure, logFile);
}

function flagsOf({ target }: SuiteContext, report: string): readonly string[] {
  return [
    `--kubeconfig=${target.kubeconfig}`,
    '--provider=skeleton',
    `--num-nodes=${target.nodeNames.length}`,
    `--kubectl-path=${binary('kubectl')}`,
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
