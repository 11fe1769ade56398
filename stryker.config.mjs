/**
 * Stryker for one layer: `SLUICE_LAYER=service npm run test:mutation -- --mutate src/service/decide.ts`. Each layer keeps what was judged
 * in a file of its own, so that the next run judges what has changed since.
 */
import { env } from 'node:process';

const layer = env['SLUICE_LAYER'] ?? 'policy';

export default {
  packageManager: 'npm',
  tsconfigFile: 'no-tsconfig-is-rewritten.json',
  plugins: ['./test/mutants/in-process-runner.ts', '@stryker-mutator/vitest-runner'],
  // `SLUICE_RUNNER=vitest`: Stryker's own, a hundred times slower, to hold ours against.
  testRunner: env['SLUICE_RUNNER'] ?? 'in-process',
  vitest: { configFile: 'test/mutants/stryker-vitest.config.ts', related: false },
  coverageAnalysis: 'perTest',
  mutate: [`src/${layer}/**/*.ts`],
  // Most strings here are variants of a union, where an empty one is no program, or text, which golden tests hold as a whole.
  mutator: { excludedMutations: ['StringLiteral'] },
  ignorePatterns: ['/.ci', '/bench', '/charts', '/e2e', '/image', '/reports'],
  ignoreStatic: true,
  incremental: true,
  incrementalFile: `reports/mutation-${layer}-known.json`,
  concurrency: 1,
  timeoutMS: 5_000,
  reporters: ['clear-text', 'json', 'progress-append-only'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  jsonReporter: { fileName: `reports/mutation-${layer}.json` },
  tempDirName: '.stryker-tmp',
};
