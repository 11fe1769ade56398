/** Writes the generated files; with --check it writes nothing and fails when one is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configurationDocs } from '../src/config/docs.ts';
import { chartDashboard } from './chart-dashboard.ts';
import { chartReadme } from './chart-readme.ts';
import { chartSchema } from './chart-schema.ts';
import { lintConfig } from './lint-config.ts';
import { metricsDocs } from './metrics-docs.ts';

/** Path from the project's root, and what must be in it. */
const generated: readonly { readonly file: string; readonly make: () => string }[] = [
  { file: '.oxlintrc.json', make: lintConfig },
  { file: join('docs', 'configuration.md'), make: configurationDocs },
  { file: join('docs', 'metrics.md'), make: metricsDocs },
  { file: join('charts', 'sluice', 'values.schema.json'), make: chartSchema },
  { file: join('charts', 'sluice', 'README.md'), make: chartReadme },
  { file: join('charts', 'sluice', 'files', 'dashboard.json'), make: chartDashboard },
];

const root = join(import.meta.dirname, '..');
const checkOnly = process.argv.includes('--check');
for (const { file, make } of generated) {
  const text = make();
  if (readOrEmpty(join(root, file)) === text) continue;
  if (checkOnly) {
    console.error(`${file} is out of date: run node scripts/generate.ts`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, file), text);
    console.log(`wrote ${file}`);
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
