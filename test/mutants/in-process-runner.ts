/**
 * A test runner for Stryker. Its runner for vitest starts a worker and evaluates every module for each mutant, 0.4 s of processor time;
 * here the tests are loaded once, by Node itself, and a mutant costs what its tests cost. A mutant that leaves something behind which
 * makes a test fail is noticed, and the next one gets a process of its own.
 */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { format } from 'node:util';
import { collect, type CollectedTest, collected } from './collected-tests.ts';
import { isOfTime, slowest, testFilesOf, withSlowTests } from './layer-tests.ts';

/** What Stryker's instrumented code reads and counts. */
interface Instrumented {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: { readonly static: object; readonly perTest: Readonly<Record<string, unknown>> };
}

interface MutantRun {
  readonly activeMutant: { readonly id: string };
  readonly testFilter?: readonly string[];
  readonly hitLimit?: number;
}

/** As Stryker numbers them. */
const passed = 0;
const failed = 1;

interface TestResult {
  readonly id: string;
  readonly name: string;
  readonly fileName: string;
  readonly timeSpentMs: number;
  readonly status: typeof passed | typeof failed;
  readonly failureMessage?: string;
}

const standIn = new URL('collected-tests.ts', import.meta.url).href;
const ours = pathToFileURL(`${import.meta.dirname}/`).href;
const layer = process.env['SLUICE_LAYER'] ?? 'policy';
const instrumented: Instrumented = {};

class InProcessRunner {
  #runs = 0;
  /** Of each test, in the first run: the cheap ones first, for the first that fails ends the judgement. */
  readonly #spentMs = new Map<string, number>();
  #isSpoiled = false;
  /** A rejection that no test has waited for, or what was thrown into nobody's hands. */
  #stray: string | undefined;

  /** Code that also runs when the tests are loaded is loaded once, unchanged: a mutant is on only while its tests run. */
  capabilities(): { readonly reloadEnvironment: boolean } {
    return { reloadEnvironment: true };
  }

  async init(): Promise<void> {
    Object.assign(globalThis, { __stryker__: instrumented });
    registerHooks({
      resolve: (specifier, context, next) =>
        next(specifier === 'vitest' && context.parentURL?.startsWith(ours) !== true ? standIn : specifier, context),
    });
    for (const event of ['unhandledRejection', 'uncaughtException']) {
      process.on(event, (reason) => {
        this.#stray = format(reason);
      });
    }
    for (const file of testFilesOf(layer)) await collect(file);
  }

  /** Every test is called twice, the second time in reverse order: one that needs another before it, or cannot be repeated, judges nothing. */
  async dryRun(): Promise<unknown> {
    const judging = collected.filter(({ id }) => !isOfTime(id));
    const results = new Map<string, TestResult>();
    for (const test of judging) results.set(test.id, await this.#try(test));
    for (const test of judging.toReversed()) {
      const before = process.cpuUsage();
      const again = await this.#try(test);
      const { user, system } = process.cpuUsage(before);
      const isDependent = again.status === failed && results.get(test.id)?.status === passed;
      if (isDependent || (user + system > slowest * 1000 && !withSlowTests)) results.delete(test.id);
    }
    const { static: atLoad, perTest } = instrumented.mutantCoverage ?? { static: {}, perTest: {} };
    const kept = Object.fromEntries(Object.entries(perTest).filter(([id]) => results.has(id)));
    return { status: 'complete', tests: [...results.values()], mutantCoverage: { static: atLoad, perTest: kept } };
  }

  async #try(test: CollectedTest): Promise<TestResult> {
    const started = performance.now();
    instrumented.currentTestId = test.id;
    const failure = await this.#failureOf(test);
    instrumented.currentTestId = undefined;
    const told = { id: test.id, name: test.id, fileName: test.file, timeSpentMs: performance.now() - started };
    this.#spentMs.set(test.id, told.timeSpentMs);
    return failure === undefined ? { ...told, status: passed } : { ...told, status: failed, failureMessage: failure };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit }: MutantRun): Promise<unknown> {
    // Stryker then starts another process and asks again.
    if (this.#isSpoiled) throw new Error('an earlier mutant has left something behind');
    this.#runs += 1;
    Object.assign(instrumented, { activeMutant: activeMutant.id, hitCount: 0, hitLimit });
    const chosen = testFilter === undefined ? undefined : new Set(testFilter);
    const tests = collected
      .filter(({ id }) => chosen?.has(id) !== false)
      .toSorted((a, b) => this.#cost(a) - this.#cost(b));
    const killer = await this.#firstFailure(tests);
    const hits = instrumented.hitCount ?? 0;
    Object.assign(instrumented, { activeMutant: undefined, hitCount: undefined, hitLimit: undefined });
    if (hitLimit !== undefined && hits > hitLimit) return { status: 'timeout', reason: `hit ${hits} times` };
    if (killer === undefined) return { status: 'survived', nrOfTests: tests.length };
    if ((await this.#failureOf(killer.test)) !== undefined) {
      this.#isSpoiled = true;
      if (this.#runs > 1) throw new Error(`${killer.test.id} fails without a mutant, too`);
    }
    return { status: 'killed', killedBy: [killer.test.id], failureMessage: killer.failure, nrOfTests: tests.length };
  }

  #cost({ id }: CollectedTest): number {
    return this.#spentMs.get(id) ?? 0;
  }

  async #firstFailure(tests: readonly CollectedTest[]): Promise<{ test: CollectedTest; failure: string } | undefined> {
    for (const test of tests) {
      const failure = await this.#failureOf(test);
      if (failure !== undefined) return { test, failure };
    }
    return undefined;
  }

  async #failureOf(test: CollectedTest): Promise<string | undefined> {
    this.#stray = undefined;
    try {
      await test.run();
      return this.#stray;
    } catch (error) {
      return format(error);
    }
  }
}

export const strykerPlugins = [
  { kind: 'TestRunner', name: 'in-process', factory: Object.assign(() => new InProcessRunner(), { inject: [] }) },
];
