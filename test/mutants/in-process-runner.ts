/**
 * A test runner for Stryker. Its runner for vitest starts a worker and evaluates every module for each mutant, 0.4 s of processor time;
 * here the tests are loaded once, by Node itself, and a mutant costs what its tests cost. A mutant that leaves something behind which
 * makes a test fail is noticed, and the next one gets a process of its own.
 */
import { globSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format } from 'node:util';
import { collect, type CollectedTest, collected } from './collected-tests.ts';

/** What Stryker's instrumented code reads and counts. */
interface Instrumented {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: unknown;
}

interface MutantRun {
  readonly activeMutant: { readonly id: string };
  readonly testFilter?: readonly string[];
  readonly hitLimit?: number;
}

const standIn = new URL('collected-tests.ts', import.meta.url).href;
const ours = pathToFileURL(`${import.meta.dirname}/`).href;
const layer = process.env['SLUICE_LAYER'] ?? 'policy';
const instrumented: Instrumented = {};

class InProcessRunner {
  #runs = 0;
  #isSpoiled = false;
  /** A rejection that no test has waited for. */
  #stray: string | undefined;

  capabilities(): { readonly reloadEnvironment: boolean } {
    return { reloadEnvironment: false };
  }

  async init(): Promise<void> {
    Object.assign(globalThis, { __stryker__: instrumented });
    registerHooks({
      resolve: (specifier, context, next) =>
        next(specifier === 'vitest' && context.parentURL?.startsWith(ours) !== true ? standIn : specifier, context),
    });
    process.on('unhandledRejection', (reason) => {
      this.#stray = format(reason);
    });
    for (const file of testFiles()) await collect(file);
  }

  async dryRun(): Promise<unknown> {
    const tests: unknown[] = [];
    for (const test of collected) {
      const started = performance.now();
      instrumented.currentTestId = test.id;
      const failure = await this.#failureOf(test);
      instrumented.currentTestId = undefined;
      const told = { id: test.id, name: test.id, fileName: test.file, timeSpentMs: performance.now() - started };
      tests.push(failure === undefined ? { ...told, status: 0 } : { ...told, status: 1, failureMessage: failure });
    }
    return { status: 'complete', tests, mutantCoverage: instrumented.mutantCoverage };
  }

  async mutantRun({ activeMutant, testFilter, hitLimit }: MutantRun): Promise<unknown> {
    // Stryker then starts another process and asks again.
    if (this.#isSpoiled) throw new Error('an earlier mutant has left something behind');
    this.#runs += 1;
    Object.assign(instrumented, { activeMutant: activeMutant.id, hitCount: 0, hitLimit });
    const chosen = testFilter === undefined ? undefined : new Set(testFilter);
    const tests = collected.filter(({ id }) => chosen?.has(id) !== false);
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

/** Properties see most mutants but take seconds for one that survives: last, and only where they are asked for. */
function testFiles(): readonly string[] {
  const files = globSync(`test/${layer}/**/*.test.ts`).map((file) => resolve(file));
  const isProperty = (file: string): boolean => file.endsWith('.property.test.ts');
  const quick = files.filter((file) => !isProperty(file)).toSorted();
  return process.env['SLUICE_PROPERTIES'] === undefined ? quick : [...quick, ...files.filter(isProperty).toSorted()];
}

export const strykerPlugins = [
  { kind: 'TestRunner', name: 'in-process', factory: Object.assign(() => new InProcessRunner(), { inject: [] }) },
];
