/** The Debian that agnhost stands on, as a layer of its own: it changes with install.sh alone, not with every version of a program. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ownArchitecture } from '../../image/context.ts';
import { listFiles, makeDebianRoot, packFiles, runStep } from '../../image/debian-root.ts';
import type { Layer } from '../../image/oci-archive.ts';
import { compressLayer } from '../../image/oci-archive.ts';
import type { Progress } from '../build/build.ts';
import { e2eCache } from '../build/cache.ts';

/** Makes the layer where the cache does not have it: debootstrap, and install.sh in it. */
export async function debianLayer(progress: Progress): Promise<Layer> {
  const install = join(import.meta.dirname, 'install.sh');
  const key = createHash('sha256').update(ownArchitecture()).update(readFileSync(install)).digest('hex').slice(0, 12);
  const file = join(e2eCache(), 'images', `debian-${key}.tar.gz`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written below
  if (existsSync(`${file}.json`)) return { ...(JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Layer), file };
  const started = performance.now();
  progress('image: debian ...');
  mkdirSync(join(e2eCache(), 'images'), { recursive: true });
  const work = mkdtempSync(join(e2eCache(), '.debian-'));
  try {
    const [root, context, tar] = [join(work, 'root'), join(work, 'context'), join(work, 'layer.tar')];
    await makeDebianRoot(root, ownArchitecture());
    mkdirSync(context);
    copyFileSync(install, join(context, 'install.sh'));
    await runStep(root, context, []);
    await packFiles(root, [...listFiles(root).keys()].sort(), tar);
    const layer = { ...(await compressLayer(tar, join(work, 'layer.tar.gz'), 'e2e/images/install.sh')), file };
    renameSync(join(work, 'layer.tar.gz'), file);
    writeFileSync(`${file}.json`, JSON.stringify(layer));
    progress(`image: debian ${Math.round((performance.now() - started) / 1000)} s`);
    return layer;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
