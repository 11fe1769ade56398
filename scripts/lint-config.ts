/** Makes .oxlintrc.json: the fixed rules, and one override a layer from the table in layers.ts. */
import { impureGlobals, impureProperties, mayImport, processFile, processModules, pureLayers } from './layers.ts';

const limits = {
  'max-lines': ['error', { max: 400 }],
  'max-lines-per-function': ['error', { max: 60 }],
  complexity: ['error', { max: 12, variant: 'modified' }],
  'max-params': ['error', { max: 4 }],
  'max-depth': ['error', { max: 3 }],
};

const processPaths = processModules.map((name) => ({ name, message: `programs are run by ${processFile}` }));

/** The text of .oxlintrc.json. */
export function lintConfig(): string {
  const config = {
    $schema: './node_modules/oxlint/configuration_schema.json',
    plugins: ['typescript', 'import', 'unicorn', 'oxc'],
    categories: { correctness: 'error', suspicious: 'error' },
    ignorePatterns: ['test/vectors/**', 'node_modules/**'],
    rules: {
      ...limits,
      'import/no-cycle': 'error',
      'no-console': 'error',
      'typescript/no-explicit-any': 'error',
      'typescript/no-non-null-assertion': 'error',
      'unicorn/no-array-sort': 'off',
      'unicorn/no-array-reverse': 'off',
      'unicorn/consistent-function-scoping': 'off',
      'no-await-in-loop': 'off',
      'no-restricted-imports': ['error', { paths: processPaths }],
    },
    overrides: [
      ...Object.keys(mayImport).map(layerOverride),
      { files: [`src/${processFile}`, 'scripts/*.mjs', 'bin/*'], rules: { 'no-restricted-imports': 'off' } },
      {
        files: ['src/cli/**', 'scripts/**', 'image/**', 'bin/**', 'test/run.ts', 'bench/**', 'e2e/**'],
        rules: { 'no-console': 'off' },
      },
      { files: ['test/**'], rules: { 'max-lines-per-function': 'off', 'max-lines': ['error', { max: 600 }] } },
    ],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

function layerOverride(layer: string): object {
  const allowed = [layer, ...(mayImport[layer] ?? [])];
  const forbidden = Object.keys(mayImport).filter((other) => !allowed.includes(other));
  const effects = pureLayers.includes(layer)
    ? ['node:fs', 'node:fs/*', 'node:net', 'node:http', 'node:process', 'pino']
    : [];
  const group = [...forbidden.map((other) => `**/${other}/*.ts`), ...forbidden.map((other) => `**/${other}/**/*.ts`)];
  const patterns = [{ group: [...group, ...effects], message: `${layer} may import ${allowed.join(', ')}` }];
  const rule = group.length + effects.length === 0 ? { paths: processPaths } : { paths: processPaths, patterns };
  const purity = pureLayers.includes(layer) ? purityRules(layer) : {};
  return { files: [`src/${layer}/**`], rules: { 'no-restricted-imports': ['error', rule], ...purity } };
}

function purityRules(layer: string): object {
  const message = `${layer} answers from its input alone`;
  return {
    'no-restricted-globals': ['error', ...impureGlobals.map((name) => ({ name, message }))],
    'no-restricted-properties': ['error', ...impureProperties.map((one) => ({ ...one, message }))],
  };
}
