import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { expect, test } from 'vitest';
import { mayImport, processFile, processModules, pureLayers, pureModules } from '../scripts/layers.ts';

/** Every `file: problem` in a source tree. */
export function violations(sourceRoot: string): readonly string[] {
  return globSync('**/*.ts', { cwd: sourceRoot }).flatMap((file) => {
    const layer = layerOf(file);
    const text = readFileSync(join(sourceRoot, file), 'utf8');
    const imported = parseSync(file, text).module.staticImports.map((entry) => entry.moduleRequest.value);
    return imported.flatMap((specifier) => violation(file, layer, specifier));
  });
}

function violation(file: string, layer: string, specifier: string): readonly string[] {
  if (!specifier.startsWith('.')) {
    if (specifier === 'execa' && file === processFile) return [];
    if (processModules.includes(specifier)) {
      return [`${file}: ${specifier} is for ${processFile} alone`];
    }
    const isPure = !pureLayers.includes(layer) || pureModules.includes(specifier);
    return isPure ? [] : [`${file}: the pure layer ${layer} may not import ${specifier}`];
  }
  const to = layerOf(join(dirname(file), specifier));
  if (layer === 'main.ts') return to === 'cli' ? [] : [`${file}: main may import cli only, not ${to}`];
  if (to === layer || (mayImport[layer] ?? []).includes(to)) return [];
  return [`${file}: ${layer} may not import ${to}`];
}

function layerOf(file: string): string {
  return file.split('/')[0] ?? '';
}

const sourceRoot = join(import.meta.dirname, '..', 'src');

test('imports point down the layers', () => {
  expect(violations(sourceRoot)).toEqual([]);
});

test('every folder of src is a known layer', () => {
  const layers = new Set(globSync('*/**/*.ts', { cwd: sourceRoot }).map(layerOf));
  expect([...layers].filter((layer) => !(layer in mayImport))).toEqual([]);
});

test('the table has no way back up', () => {
  const order = Object.keys(mayImport);
  const upward = order.flatMap((layer, index) =>
    (mayImport[layer] ?? []).filter((to) => order.indexOf(to) > index).map((to) => `${layer} -> ${to}`),
  );
  expect(upward).toEqual([]);
});
