/** Unit tests for Stryker: those of the layer in SLUICE_LAYER and of what is made of it; properties with few runs are the others' business. */
import { defineConfig } from 'vitest/config';

const layer = process.env['SLUICE_LAYER'] ?? 'policy';

export default defineConfig({
  test: { include: [`test/${layer}/**/*.test.ts`, 'test/compile/**/*.test.ts'], testTimeout: 20_000 },
});
