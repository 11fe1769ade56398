/** A Debian root on this machine, made by debootstrap from the mirrors that this machine's apt uses, in which install.sh is run. */
import { copyFileSync, lstatSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../src/backends/exec.ts';
import { contextMount } from './dockerfile.ts';

/** Release of Debian that the Dockerfile's base has. */
const release = 'bookworm';

const minutes = 60_000;

/** What `docker pull` of the base gives, near enough: the recipe makes the rest. */
export async function makeDebianRoot(directory: string, architecture: string): Promise<void> {
  const [{ uri } = { uri: '' }] = await debianSources();
  const argv = ['debootstrap', '--variant=minbase', `--arch=${architecture}`, release, directory, uri] as const;
  await run(argv, { timeoutMs: 15 * minutes });
}

/** Unpacks layers, the lowest first. */
export async function unpackLayers(directory: string, files: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true });
  for (const file of files) {
    await run(['tar', '-xpzf', file, '-C', directory, '--numeric-owner'], { timeoutMs: 5 * minutes });
  }
}

/** Runs one step of install.sh in it, as the Dockerfile does. `context` is there only meanwhile. */
export async function runStep(directory: string, context: string, step: readonly string[]): Promise<void> {
  const mount = join(directory, contextMount);
  mkdirSync(mount);
  const leftovers = await lendApt(directory);
  try {
    await run(['cp', '-R', `${context}/.`, mount]);
    await run([...isolation(directory), 'sh', `${contextMount}/install.sh`, ...step], { timeoutMs: 15 * minutes });
  } finally {
    for (const path of [...leftovers, mount]) rmSync(path, { recursive: true, force: true });
  }
}

/** Paths from `directory` with what tells a change of the file. A link is a file: Debian's /var/run would lead out of the root. */
export function listFiles(directory: string): ReadonlyMap<string, string> {
  return new Map(entriesBelow(directory, ''));
}

function* entriesBelow(directory: string, folder: string): Generator<readonly [name: string, state: string]> {
  // readdir's own recursion follows links.
  for (const entry of readdirSync(join(directory, folder), { withFileTypes: true })) {
    const name = join(folder, entry.name);
    const { ctimeMs, size, mode } = lstatSync(join(directory, name));
    // A directory changes with each entry; what matters is in the entry.
    yield [name, entry.isDirectory() ? `directory ${mode}` : `${ctimeMs} ${size} ${mode}`];
    if (entry.isDirectory() && !unpacked.includes(name)) yield* entriesBelow(directory, name);
  }
}

/** Writes the files (paths from `directory`) into a tar; the same files make the same tar. */
export async function packFiles(directory: string, names: readonly string[], tar: string): Promise<void> {
  const fixed = ['--no-recursion', '--numeric-owner', '--format=posix', '--mtime=@0'];
  const pax = '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime';
  await run(['tar', '-cf', tar, '-C', directory, ...fixed, pax, '--verbatim-files-from', '--files-from=-'], {
    input: names.map((name) => `${name}\n`).join(''),
    timeoutMs: 5 * minutes,
  });
}

/** Of the machine that builds. */
const unpacked: readonly string[] = ['dev', 'proc', 'sys', 'run', 'tmp'];

interface DebianSource {
  readonly uri: string;
  readonly line: string;
}

async function debianSources(): Promise<readonly DebianSource[]> {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT) $(LABEL)';
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']);
  const sources = stdout.split('\n').flatMap((line) => {
    const [uri = '', suite = '', component = '', label = ''] = line.split(' ');
    const isOurs = label.startsWith('Debian') && suite.startsWith(release) && component === 'main';
    return isOurs ? [{ uri, line: `deb ${uri} ${suite} ${component}\n`, isMain: suite === release }] : [];
  });
  if (!sources.some(({ isMain }) => isMain)) {
    throw new Error(`image: this machine's apt knows no Debian ${release}; build with the Dockerfile instead`);
  }
  return sources.sort((a, b) => Number(b.isMain) - Number(a.isMain));
}

/** Gives the root this machine's way to its mirrors; the paths to take away afterwards. */
async function lendApt(directory: string): Promise<readonly string[]> {
  const sources = await debianSources();
  const lists = join(directory, 'etc', 'apt', 'sources.list');
  const settings = join(directory, 'etc', 'apt', 'apt.conf.d', '99build');
  const resolver = join(directory, 'etc', 'resolv.conf');
  const certificates = join(directory, 'etc', 'build-certificates.pem');
  writeFileSync(lists, sources.map(({ line }) => line).join(''));
  const { stdout } = await run(['apt-config', 'dump', 'Acquire::http', 'Acquire::https']);
  const authority = 'Acquire::https::CaInfo "/etc/build-certificates.pem";\n';
  const isHttps = sources.some(({ uri }) => uri.startsWith('https:'));
  writeFileSync(settings, isHttps ? `${stdout}${authority}` : stdout);
  if (isHttps) copyFileSync('/etc/ssl/certs/ca-certificates.crt', certificates);
  copyFileSync('/etc/resolv.conf', resolver);
  return [lists, settings, resolver, certificates];
}

/** A root, processes and mounts of its own: nothing of it stays when it ends. */
function isolation(directory: string): readonly [string, ...string[]] {
  return ['unshare', '--mount', '--pid', '--fork', '--kill-child', `--root=${directory}`, '--mount-proc', '--'];
}
