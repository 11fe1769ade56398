import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { mayImport, processFile, processModules, pureLayers, pureModules } from '../scripts/layers.ts';

const mainFiles: readonly string[] = ['main.ts', 'node-main.ts'];

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
  if (!specifier.startsWith('.')) return packageViolation(file, layer, specifier);
  const path = join(dirname(file), specifier);
  // The version is data of the project, not a layer.
  if (path === '../package.json') return [];
  const to = layerOf(path);
  if (mainFiles.includes(layer)) return to === 'cli' ? [] : [`${file}: main may import cli only, not ${to}`];
  if (to === layer || (mayImport[layer] ?? []).includes(to)) return [];
  return [`${file}: ${layer} may not import ${to}`];
}

function packageViolation(file: string, layer: string, specifier: string): readonly string[] {
  if (specifier === 'execa' && file === processFile) return [];
  if (processModules.includes(specifier)) return [`${file}: ${specifier} is for ${processFile} alone`];
  const isPure = !pureLayers.includes(layer) || pureModules.includes(specifier);
  return isPure ? [] : [`${file}: the pure layer ${layer} may not import ${specifier}`];
}

/** The first folder below the source root. */
export function layerOf(file: string): string {
  return file.split('/')[0] ?? '';
}
