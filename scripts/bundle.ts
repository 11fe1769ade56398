/** The program as the image runs it: one tree-shaken bundle of src/node-main.ts, without TypeScript, in `dist/`. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const root = join(import.meta.dirname, '..');

/** Where the bundle lies: `sluice.mjs` and its chunks. */
export const bundleDirectory = join(root, 'dist', 'bundle');

/** What a bundle is made of: a change of any of these makes another one. */
export const bundleInputs: readonly string[] = ['src', 'package.json', 'package-lock.json', 'scripts/bundle.ts'];

/** Writes the bundle anew; the paths of its files from `directory`, sorted. */
export async function writeBundle(directory: string = bundleDirectory): Promise<readonly string[]> {
  rmSync(directory, { recursive: true, force: true });
  const bundle = await rolldown({
    input: { sluice: join(root, 'src', 'node-main.ts') },
    platform: 'node',
    cwd: root,
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`bundle: ${log.message}`);
    },
  });
  const { output } = await bundle.write({
    dir: directory,
    format: 'esm',
    entryFileNames: '[name].mjs',
    chunkFileNames: 'chunks/[name]-[hash].mjs',
  });
  return output.map(({ fileName }) => fileName).sort();
}

if (import.meta.main) {
  const files = await writeBundle();
  console.log(`bundle: ${files.length} files in ${bundleDirectory}`);
}
