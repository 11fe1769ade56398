import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDockerfile } from '../../image/dockerfile.ts';
import { compressLayer, writeOciArchive } from '../../image/oci-archive.ts';
import { readOciArchive } from '../../image/read-archive.ts';
import { nodeFlags } from '../../scripts/bundle.ts';
import { run } from '../../src/backends/exec.ts';

const imageFolder = join(import.meta.dirname, '..', '..', 'image');
const dockerfile = readFileSync(join(imageFolder, 'Dockerfile'), 'utf8');
const installScript = readFileSync(join(imageFolder, 'install.sh'), 'utf8');
const values = { TARGETARCH: 'arm64', VERSION: '1.2.3', REVISION: 'abc' };

test('the Dockerfile runs the recipe and nothing else', () => {
  const image = readDockerfile(dockerfile, values);
  expect(image.steps).toEqual([['packages'], ['node', '/context/node-arm64'], ['program', '/context/bundle']]);
  expect(image.base).toMatch(/^debian:12\.\d+-slim@sha256:[0-9a-f]{64}$/);
  expect(image.entrypoint).toEqual(['/usr/local/bin/sluice']);
  expect(image.labels).toMatchObject({
    'org.opencontainers.image.version': '1.2.3',
    'org.opencontainers.image.revision': 'abc',
  });
});

test.each([
  ['another command', 'FROM a\nRUN apt-get install -y curl\n', /expected RUN .* got RUN apt-get/],
  ['another instruction', 'FROM a\nCOPY . /x\n', 'unknown instruction: COPY . /x'],
  ['a label without quotes', 'FROM a\nLABEL x=y\n', 'expected KEY="VALUE", got x=y'],
])('%s in it is refused: the archive would be another image', (_name, text, message) => {
  expect(() => readDockerfile(text, {})).toThrow(message);
});

test('the recipe is a shell script without mistakes, and says what it takes', async () => {
  await run(['sh', '-n', join(imageFolder, 'install.sh')]);
  await expect(run(['sh', join(imageFolder, 'install.sh')])).rejects.toThrow('usage: install.sh packages');
  // The program that the image starts is made by it.
  expect(installScript).toContain('>/usr/local/bin/sluice');
  expect(installScript).toContain(`\nnode_flags='${nodeFlags.join(' ')}'\n`);
});

test('an archive says what the Dockerfile says, and holds its layers', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-archive-'));
  mkdirSync(join(directory, 'root', 'opt'), { recursive: true });
  writeFileSync(join(directory, 'root', 'opt', 'file'), 'text');
  await run(['tar', '-cf', join(directory, 'layer.tar'), '-C', join(directory, 'root'), 'opt']);
  const layer = await compressLayer(join(directory, 'layer.tar'), join(directory, 'layer.gz'), 'a step');
  const image = readDockerfile(dockerfile, values);
  const file = join(directory, 'image.tar');
  const names = ['docker.io/library/sluice:1.2.3', 'example.com/sluice:latest'];
  const digest = await writeOciArchive(file, { ...image, architecture: 'arm64', names, layers: [layer] });

  const archive = await readOciArchive(file);
  expect(archive.names).toEqual(names);
  expect(archive.digest).toBe(digest);
  expect(archive).toMatchObject({ architecture: 'arm64', entrypoint: image.entrypoint, command: image.command });
  expect(archive.labels).toEqual(image.labels);
  expect(archive.environment).toEqual(image.environment);
  expect(archive.steps).toEqual(['a step']);
  expect(archive.files).toEqual(['opt/', 'opt/file']);
});

test('the same files make the same layer', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-archive-'));
  writeFileSync(join(directory, 'a'), 'text');
  await run(['tar', '-cf', join(directory, 'layer.tar'), '-C', directory, '--mtime=@0', 'a']);
  const [one, two] = [
    await compressLayer(join(directory, 'layer.tar'), join(directory, '1.gz'), ''),
    await compressLayer(join(directory, 'layer.tar'), join(directory, '2.gz'), ''),
  ];
  expect(one.digest).toBe(two.digest);
  expect(one.diffId).not.toBe(one.digest);
});
