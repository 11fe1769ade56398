import { cpSync, globSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { impureGlobals, impureProperties, mayImport, pureLayers } from '../scripts/layers.ts';
import { CommandError, run } from '../src/backends/exec.ts';
import { layerOf, violations } from './layer-violations.ts';

const root = join(import.meta.dirname, '..');
const sourceRoot = join(root, 'src');

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

describe('a forbidden import planted in a copy fails the build', () => {
  const copy = plantingGround();
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  test.each([
    ['upwards', 'lib', "import { keyOf } from '../cluster/objects.ts';\nexport const planted = keyOf;\n"],
    [
      'sideways',
      'policy',
      "import { ServiceStage } from '../service/stage.ts';\nexport const planted = ServiceStage;\n",
    ],
    ['programs outside exec.ts', 'agent', "import { execa } from 'execa';\nexport const planted = execa;\n"],
    [
      'effects in the core',
      'dataplane',
      "import { readFileSync } from 'node:fs';\nexport const planted = readFileSync;\n",
    ],
  ])('%s', async (_what, layer, text) => {
    const file = join(copy, 'src', layer, 'planted.ts');
    expect(violations(join(copy, 'src'))).toEqual([]);
    writeFileSync(file, text);
    try {
      expect(violations(join(copy, 'src')).join()).toContain('planted.ts');
      expect(await lint(copy, layer)).toContain('no-restricted-imports');
    } finally {
      rmSync(file);
    }
  });
});

describe('a pure layer that looks beyond its input fails the build', () => {
  const copy = plantingGround();
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  test.each(pureLayers)('%s', async (layer) => {
    expect(await lint(copy, layer)).not.toMatch(/no-restricted/);
    const file = join(copy, 'src', layer, 'planted.ts');
    const uses = [...impureGlobals, ...impureProperties.map(({ object, property }) => `${object}.${property}`)];
    writeFileSync(file, `export const planted = [${uses.join(', ')}];\n`);
    try {
      const said = await lint(copy, layer);
      for (const name of impureGlobals) expect(said).toContain(`Unexpected use of '${name}'`);
      expect(said.match(/no-restricted-properties/g)).toHaveLength(impureProperties.length);
    } finally {
      rmSync(file);
    }
  });

  test('a layer with effects may', async () => {
    const file = join(copy, 'src', 'agent', 'planted.ts');
    writeFileSync(file, 'export const planted = [Date, process, setTimeout, Math.random];\n');
    expect(await lint(copy, 'agent')).not.toMatch(/no-restricted/);
  });
});

/** The sources and the linter's rules, to plant something in. */
function plantingGround(): string {
  const copy = mkdtempSync(join(tmpdir(), 'sluice-planted-'));
  for (const name of ['src', '.oxlintrc.json', 'tsconfig.json', 'package.json']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function lint(folder: string, layer: string): Promise<string> {
  const argv = [
    join(root, 'node_modules', '.bin', 'oxlint'),
    '-c',
    join(folder, '.oxlintrc.json'),
    join(folder, 'src', layer),
  ];
  try {
    return (await run(['env', '-C', folder, ...argv])).stdout;
  } catch (error) {
    if (error instanceof CommandError) return error.stdout;
    throw error;
  }
}
