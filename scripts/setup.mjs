// Makes a fresh machine ready: npm packages (Node 24 among them) and the kernel's tools. Plain JavaScript for the
// system's Node 20, without dependencies. A second run looks at a stamp and at the PATH, and does nothing.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, 'node_modules', '.sluice-setup');

/** Program -> the Debian package that has it. Both iptables variants come in one package. */
const programs = {
  'iptables-nft-restore': 'iptables',
  'iptables-legacy-restore': 'iptables',
  'ip6tables-nft-restore': 'iptables',
  ipset: 'ipset',
  nft: 'nftables',
  conntrack: 'conntrack',
  ip: 'iproute2',
  bridge: 'iproute2',
  curl: 'curl',
  stdbuf: 'coreutils',
  nsenter: 'util-linux',
  unshare: 'util-linux',
};

/** What `--e2e` adds: a real cluster is built from sources (runc by cgo), its images in Debian roots. */
const e2ePrograms = {
  debootstrap: 'debootstrap',
  gcc: 'gcc',
  'pkg-config': 'pkg-config',
  openssl: 'openssl',
  flock: 'util-linux',
  sysctl: 'procps',
};

/** What `--bench` adds: certificates of a real API server, and the lock of its build. */
const benchPrograms = { openssl: 'openssl', flock: 'util-linux' };

/** The same as `e2ePrograms`, for what is no program. */
const e2eFiles = {
  '/usr/include/seccomp.h': 'libseccomp-dev',
  '/usr/include/stdlib.h': 'libc6-dev',
};

const isForE2e = process.argv.includes('--e2e');
const isForBench = process.argv.includes('--bench');

installNodePackages();
await installSystemPackages();

function installNodePackages() {
  const stamp = createHash('sha256');
  for (const name of ['package.json', 'package-lock.json']) stamp.update(readFileSync(join(root, name)));
  const wanted = stamp.digest('hex');
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return;
  console.log('setup: installing npm packages (Node 24 among them)');
  // `npm ci` wants a lock with every platform's packages, and some of those cannot be had everywhere.
  const npm = spawnSync('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (npm.status !== 0) fail(`npm install failed (${npm.error?.message ?? `exit code ${npm.status}`})`);
  if (!existsSync(join(root, 'node_modules', '.bin', 'node'))) {
    fail(`no Node 24 package for ${process.platform} ${process.arch}: Sluice runs on linux x64 and arm64`);
  }
  writeFileSync(stampFile, wanted);
}

async function installSystemPackages() {
  const wanted = {
    ...programs,
    ...(isForE2e ? { ...e2ePrograms, ...e2eFiles } : {}),
    ...(isForBench ? benchPrograms : {}),
  };
  const lacking = () =>
    Object.keys(wanted).filter((name) => !(name.startsWith('/') ? existsSync(name) : isOnPath(name)));
  const missing = lacking();
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => wanted[name]))].sort((a, b) => a.localeCompare(b));
  const asRoot = process.getuid?.() === 0;
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  console.log(`setup: missing ${missing.join(', ')}: needs the Debian packages ${packages.join(' ')}`);
  if (!isOnPath('apt-get')) return console.log("setup: no apt-get here; install them with this system's own tool");
  if (!asRoot && !(await maySudo(command))) {
    return console.log(`setup: not root, so not installed; run: sudo ${command.join(' ')}`);
  }
  const prefix = asRoot ? [] : ['sudo'];
  runLoudly([...prefix, 'apt-get', 'update', '-qq']);
  runLoudly([...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command, '-qq']);
  const still = lacking();
  if (still.length > 0) fail(`still missing after the installation: ${still.join(', ')}`);
}

async function maySudo(command) {
  if (!process.stdin.isTTY || !isOnPath('sudo')) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`setup: run "sudo ${command.join(' ')}"? [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function runLoudly(argv) {
  console.log(`setup: ${argv.join(' ')}`);
  const result = spawnSync(argv[0], argv.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  if (result.status !== 0) fail(`${argv.join(' ')} failed with exit code ${result.status}`);
}

/** sbin is not on every user's PATH, and the tools live there. */
function isOnPath(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(3);
}
