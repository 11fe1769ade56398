/**
 * Makes Sluice's image on a Debian machine, as root and without Docker: `node image/build.ts [--output FILE]` runs the steps of the
 * Dockerfile in a debootstrap root, one layer each, and writes an OCI archive. Layers are kept by what they are made of.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../src/backends/exec.ts';
import { sluiceVersion } from '../src/telemetry/version.ts';
import { imageCache, makeContext, ownArchitecture } from './context.ts';
import { listFiles, makeDebianRoot, packFiles, runStep, unpackLayers } from './debian-root.ts';
import { contextMount, readDockerfile } from './dockerfile.ts';
import type { Layer } from './oci-archive.ts';
import { compressLayer, writeOciArchive } from './oci-archive.ts';

const root = join(import.meta.dirname, '..');

/** As the chart asks for it when nothing is set. */
export const imageName = `docker.io/library/sluice:${sluiceVersion()}`;

/** Where the archive goes unless told otherwise. */
export const archiveFile = join(root, 'dist', 'sluice-image.tar');

export interface BuiltImage {
  readonly file: string;
  /** Of the manifest. */
  readonly digest: string;
  readonly bytes: number;
}

/** `say`: told each step that is not in the cache. */
export async function buildImage(
  file = archiveFile,
  say: (line: string) => void = () => undefined,
): Promise<BuiltImage> {
  const architecture = ownArchitecture();
  const work = mkdtempSync(join(tmpdir(), 'sluice-image-'));
  try {
    const context = join(work, 'context');
    await makeContext([architecture], context);
    const values = { TARGETARCH: architecture, VERSION: sluiceVersion(), REVISION: await revision() };
    const description = readDockerfile(readFileSync(join(import.meta.dirname, 'Dockerfile'), 'utf8'), values);
    const layers = await new LayerFactory({ architecture, work, context, say }).make(description.steps);
    mkdirSync(join(file, '..'), { recursive: true });
    const digest = await writeOciArchive(file, { ...description, architecture, names: [imageName], layers });
    return { file, digest, bytes: statSync(file).size };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface FactoryOptions {
  readonly architecture: string;
  /** Directory of this build alone. */
  readonly work: string;
  readonly context: string;
  readonly say: (line: string) => void;
}

class LayerFactory {
  readonly #options: FactoryOptions;
  /** Root in which the layers so far are; absent while all of them came from the cache. */
  #directory: string | undefined;

  constructor(options: FactoryOptions) {
    this.#options = options;
  }

  async make(steps: readonly (readonly string[])[]): Promise<readonly Layer[]> {
    const { architecture, context } = this.#options;
    const layers: Layer[] = [];
    let key = keyOf([architecture, ...['debian-root.ts', 'build.ts'].map((name) => readOwn(name))]);
    for (const step of steps) {
      key = keyOf([key, ...step, ...inputsOf(context, step)]);
      layers.push(readLayer(key) ?? (await this.#makeLayer(layers, step, key)));
    }
    return layers;
  }

  async #makeLayer(below: readonly Layer[], step: readonly string[], key: string): Promise<Layer> {
    const { context, work, say } = this.#options;
    const started = performance.now();
    const directory = (this.#directory ??= await this.#makeRoot(below));
    const before = below.length === 0 ? new Map<string, string>() : listFiles(directory);
    await runStep(directory, context, step);
    const after = listFiles(directory);
    const deleted = [...before.keys()].find((name) => !after.has(name));
    if (deleted !== undefined) throw new Error(`image: step ${step.join(' ')} deletes ${deleted} of a layer below`);
    const changed = [...after].filter(([name, state]) => before.get(name) !== state).map(([name]) => name);
    const tar = join(work, 'layer.tar');
    await packFiles(directory, changed.sort(), tar);
    const layer = await keepLayer(tar, key, `install.sh ${step.join(' ')}`);
    say(
      `image: layer ${step.join(' ')}: ${changed.length} files, ${((performance.now() - started) / 1000).toFixed(0)} s`,
    );
    return layer;
  }

  async #makeRoot(below: readonly Layer[]): Promise<string> {
    const directory = join(this.#options.work, 'root');
    if (below.length === 0) await makeDebianRoot(directory, this.#options.architecture);
    else
      await unpackLayers(
        directory,
        below.map(({ file }) => file),
      );
    return directory;
  }
}

/** Of the files that a step is given: install.sh, and what it names. */
function inputsOf(context: string, step: readonly string[]): readonly string[] {
  const named = step.filter((word) => word.startsWith(contextMount)).map((word) => word.slice(contextMount.length + 1));
  const files = ['install.sh', ...named].flatMap((name) =>
    statSync(join(context, name)).isDirectory()
      ? globSync(`${name}/**`, { cwd: context }).filter((path) => statSync(join(context, path)).isFile())
      : [name],
  );
  return files.sort().flatMap((name) => [name, keyOf([readFileSync(join(context, name))])]);
}

function keyOf(parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 16);
}

function readOwn(name: string): string {
  return readFileSync(join(import.meta.dirname, name), 'utf8');
}

function layerFile(key: string): string {
  return join(imageCache(), `layer-${key}.tar.gz`);
}

function readLayer(key: string): Layer | undefined {
  const file = layerFile(key);
  if (!existsSync(file) || !existsSync(`${file}.json`)) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by keepLayer, named by the text of this file
  return { ...(JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Layer), file };
}

async function keepLayer(tar: string, key: string, createdBy: string): Promise<Layer> {
  const file = layerFile(key);
  mkdirSync(imageCache(), { recursive: true });
  const half = `${file}.${process.pid}`;
  const layer = { ...(await compressLayer(tar, half, createdBy)), file };
  renameSync(half, file);
  writeFileSync(`${file}.json`, JSON.stringify(layer));
  return layer;
}

/** The commit, with `-dirty` where the tree differs from it; empty outside a repository. */
async function revision(): Promise<string> {
  try {
    const { stdout } = await run(['git', '-C', root, 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']);
    return stdout.trim();
  } catch {
    return '';
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { output: { type: 'string' } } });
  const { file, digest, bytes } = await buildImage(values.output, (line) => console.log(line));
  console.log(`image: ${imageName} ${digest} in ${file}, ${Math.round(bytes / 1e6)} MB`);
}
