/**
 * Unit tests for Stryker: those of the layer in SLUICE_LAYER. Properties see every mutant and take seconds for each: left out. One worker
 * without isolation reads each module once a run, which is most of what a mutant costs.
 */
import { defineConfig } from 'vitest/config';

const layer = process.env['SLUICE_LAYER'] ?? 'policy';

export default defineConfig({
  test: {
    include: [`test/${layer}/**/*.test.ts`],
    exclude: ['**/*.property.test.ts', 'node_modules/**'],
    testTimeout: 20_000,
    isolate: false,
  },
});
