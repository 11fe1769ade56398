/** The images of the cluster's own parts and of the upstream suites, made here: no registry is asked. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ownArchitecture } from '../../image/context.ts';
import { listFiles, packFiles } from '../../image/debian-root.ts';
import { compressLayer, writeOciArchive } from '../../image/oci-archive.ts';
import type { Progress } from '../build/build.ts';
import { buildAll } from '../build/build.ts';
import { e2eCache, programFile } from '../build/cache.ts';
import { debianLayer } from './debian-layer.ts';
import type { ImageRecipe } from './recipes.ts';
import { imageRecipes } from './recipes.ts';

/**
 * Makes what is missing in the cache; the OCI archives of the images, to be imported by every node. Without `isFull` those
 * are left out that the fixed part of the suites does not ask for.
 */
export async function buildArchives(isFull: boolean, progress: Progress): Promise<readonly string[]> {
  const archives: string[] = [];
  const wanted = imageRecipes.filter(({ isForAll = false }) => isFull || !isForAll);
  for (const recipe of wanted) archives.push(await buildArchive(recipe, progress));
  return archives;
}

async function buildArchive(recipe: ImageRecipe, progress: Progress): Promise<string> {
  await buildAll(recipe.programs, progress);
  const file = join(e2eCache(), 'images', `${recipe.name}-${keyOf(recipe)}.tar`);
  if (existsSync(file)) return file;
  const started = performance.now();
  progress(`image: ${recipe.name} ...`);
  mkdirSync(join(e2eCache(), 'images'), { recursive: true });
  const work = mkdtempSync(join(e2eCache(), '.image-'));
  try {
    const root = join(work, 'root');
    await recipe.fill(root);
    const [tar, made] = [join(work, 'layer.tar'), join(work, 'image.tar')];
    await packFiles(root, [...listFiles(root).keys()].sort(), tar);
    const layer = await compressLayer(tar, join(work, 'layer.tar.gz'), `e2e/images ${recipe.name}`);
    const { names, entrypoint, command = [] } = recipe;
    const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
    const config = { architecture: ownArchitecture(), entrypoint, command, environment };
    const below = recipe.isOnDebian === true ? [await debianLayer(progress)] : [];
    await writeOciArchive(made, { ...config, names, layers: [...below, layer] });
    renameSync(made, file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  progress(`image: ${recipe.name} ${Math.round((performance.now() - started) / 1000)} s`);
  return file;
}

/** Of the recipe's text and the programs in the image (their paths name their versions). */
function keyOf({ name, names, programs }: ImageRecipe): string {
  const hash = createHash('sha256').update(JSON.stringify([name, names, programs.map(programFile)]));
  for (const file of ['archives.ts', 'debian-layer.ts', 'recipes.ts', 'install.sh']) {
    hash.update(readFileSync(join(import.meta.dirname, file)));
  }
  return hash.digest('hex').slice(0, 12);
}
