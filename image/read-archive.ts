/** Reads an OCI archive back, and holds it to its own digests: for tests, and to look into an image. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { run } from '../src/backends/exec.ts';

export interface ArchivedImage {
  readonly names: readonly string[];
  /** Of the manifest. */
  readonly digest: string;
  readonly architecture: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** What made each layer. */
  readonly steps: readonly string[];
  /** Of all layers, as tar writes them: directories end with a slash. */
  readonly files: readonly string[];
}

const descriptor = z.object({ digest: z.string(), size: z.number() });
const indexSchema = z.object({
  manifests: z.array(descriptor.extend({ annotations: z.record(z.string(), z.string()) })).min(1),
});
const manifestSchema = z.object({ config: descriptor, layers: z.array(descriptor) });
const words = z.array(z.string()).default([]);
const configSchema = z.object({
  architecture: z.string(),
  config: z.object({ Entrypoint: words, Cmd: words, Env: words, Labels: z.record(z.string(), z.string()).default({}) }),
  rootfs: z.object({ diff_ids: z.array(z.string()) }),
  history: z.array(z.object({ created_by: z.string() })),
});

/** Throws where a blob is not what its name says, or a layer not what the configuration says. */
export async function readOciArchive(file: string): Promise<ArchivedImage> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-read-'));
  try {
    await run(['tar', '-xf', file, '-C', directory]);
    const { manifests } = indexSchema.parse(JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')));
    const [first] = manifests;
    if (first === undefined) throw new Error(`${file}: no image in it`);
    const manifest = manifestSchema.parse(JSON.parse(readBlob(directory, first).toString()));
    const { architecture, config, rootfs, history } = configSchema.parse(
      JSON.parse(readBlob(directory, manifest.config).toString()),
    );
    return {
      names: manifests.map(({ annotations }) => annotations['io.containerd.image.name'] ?? ''),
      digest: first.digest,
      architecture,
      entrypoint: config.Entrypoint,
      command: config.Cmd,
      environment: Object.fromEntries(config.Env.map((entry) => entry.split(/=(.*)/s).slice(0, 2))),
      labels: config.Labels,
      steps: history.map(({ created_by: step }) => step),
      files: await filesOf(directory, manifest.layers, rootfs.diff_ids),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

interface Blob {
  readonly digest: string;
  readonly size: number;
}

function readBlob(directory: string, { digest, size }: Blob): Buffer {
  const content = readFileSync(join(directory, 'blobs', 'sha256', digest.replace(/^sha256:/, '')));
  const found = sha256(content);
  if (found !== digest || content.length !== size) throw new Error(`blob ${digest} of ${size} bytes is ${found}`);
  return content;
}

async function filesOf(
  directory: string,
  layers: readonly Blob[],
  diffIds: readonly string[],
): Promise<readonly string[]> {
  const lists = layers.map(async (layer, index) => {
    const tar = gunzipSync(readBlob(directory, layer));
    const found = sha256(tar);
    if (found !== diffIds[index]) throw new Error(`layer ${index}: expected ${diffIds[index]}, got ${found}`);
    const path = join(directory, 'blobs', 'sha256', layer.digest.replace(/^sha256:/, ''));
    const { stdout } = await run(['tar', '-tzf', path]);
    return stdout.split('\n').filter((line) => line !== '');
  });
  return (await Promise.all(lists)).flat();
}

function sha256(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
