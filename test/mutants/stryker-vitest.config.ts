/** For Stryker's own runner (`SLUICE_RUNNER=vitest`): one worker without isolation reads each module once a run, most of what a mutant costs. */
import { defineConfig } from 'vitest/config';
import { testFilesOf } from './layer-tests.ts';

export default defineConfig({
  test: {
    include: [...testFilesOf(process.env['SLUICE_LAYER'] ?? 'policy')],
    testTimeout: 20_000,
    isolate: false,
  },
});
