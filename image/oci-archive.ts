/** Writes an image as the OCI archive that `ctr images import`, `kind load image-archive` and `docker load` read. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { run } from '../src/backends/exec.ts';

/** A layer as it lies on the disk. */
export interface Layer {
  /** Gzipped tar. */
  readonly file: string;
  /** `sha256:...` of the file. */
  readonly digest: string;
  /** `sha256:...` of the tar in it. */
  readonly diffId: string;
  /** What made it, for the image's history. */
  readonly createdBy: string;
}

export interface ImageConfig {
  readonly architecture: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface OciImage extends ImageConfig {
  /** Full names: `docker.io/library/sluice:0.1.0`. */
  readonly names: readonly string[];
  /** The lowest first. */
  readonly layers: readonly Layer[];
}

/** Writes `file`; the digest of the image's manifest. */
export async function writeOciArchive(file: string, image: OciImage): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-oci-'));
  try {
    const blobs = join(directory, 'blobs', 'sha256');
    mkdirSync(blobs, { recursive: true });
    for (const layer of image.layers) copyFileSync(layer.file, join(blobs, hexOf(layer.digest)));
    const config = writeBlob(blobs, 'application/vnd.oci.image.config.v1+json', configOf(image));
    const layers = image.layers.map(({ file: path, digest }) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest,
      size: statSync(path).size,
    }));
    const manifest = writeBlob(blobs, manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers });
    const platform = { os: 'linux', architecture: image.architecture };
    const manifests = image.names.map((name) => ({
      ...manifest,
      platform,
      annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name },
    }));
    writeJson(join(directory, 'index.json'), {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests,
    });
    writeJson(join(directory, 'oci-layout'), { imageLayoutVersion: '1.0.0' });
    await run(['tar', '-cf', file, '-C', directory, 'oci-layout', 'index.json', 'blobs']);
    return manifest.digest;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Compresses a tar into `file`, which must not exist half-written: it is renamed by the caller. */
export async function compressLayer(tar: string, file: string, createdBy: string): Promise<Layer> {
  const diffId = await digestOf(tar);
  await pipeline(createReadStream(tar), createGzip({ level: 6 }), createWriteStream(file));
  return { file, digest: await digestOf(file), diffId, createdBy };
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function configOf({ architecture, entrypoint, command, environment = {}, labels, layers }: OciImage): object {
  return {
    architecture,
    os: 'linux',
    config: {
      Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
      Cmd: command,
      Labels: labels,
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ createdBy }) => ({ created_by: createdBy })),
  };
}

function writeBlob(directory: string, mediaType: string, content: object): Descriptor {
  const text = JSON.stringify(content);
  const hash = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(directory, hash), text);
  return { mediaType, digest: `sha256:${hash}`, size: Buffer.byteLength(text) };
}

function writeJson(file: string, content: object): void {
  writeFileSync(file, JSON.stringify(content));
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest('hex')}`;
}

function hexOf(digest: string): string {
  return digest.replace(/^sha256:/, '');
}
