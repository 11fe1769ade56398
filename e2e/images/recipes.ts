/** What is in each image, under which names it is asked for, and what it starts. */
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import { programFile } from '../build/cache.ts';
import type { ProgramName } from '../build/recipes.ts';
import { dnsImage } from '../cluster/cluster-dns.ts';
import { sandboxImage } from '../cluster/node-config.ts';

export interface ImageRecipe {
  readonly name: string;
  /** An image has to be imported under each name that it is asked for. */
  readonly names: readonly string[];
  readonly programs: readonly ProgramName[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  /** Asked for by upstream's whole suites alone. */
  readonly isForAll?: boolean;
  /** Above a Debian with a shell and the suites' tools. */
  readonly isOnDebian?: boolean;
  /** Makes the image's own files in `root`, which does not exist. */
  readonly fill: (root: string) => Promise<void>;
}

/** Where upstream's suites take their images from (test/utils/image/manifest.go of Kubernetes 1.36). */
const suites = 'registry.k8s.io/e2e-test-images';

export const imageRecipes: readonly ImageRecipe[] = [
  {
    name: 'pause',
    names: [sandboxImage],
    programs: ['pause'],
    entrypoint: ['/pause'],
    fill: async (root) => put(root, '/pause', 'pause'),
  },
  {
    name: 'coredns',
    names: [dnsImage],
    programs: ['coredns'],
    entrypoint: ['/coredns'],
    fill: async (root) => put(root, '/coredns', 'coredns'),
  },
  {
    name: 'regression-issue-74839',
    isForAll: true,
    names: [`${suites}/regression-issue-74839:1.4`],
    programs: ['regression-issue-74839'],
    entrypoint: ['/regression-issue-74839'],
    fill: async (root) => put(root, '/regression-issue-74839', 'regression-issue-74839'),
  },
  {
    name: 'busybox',
    isForAll: true,
    names: [`${suites}/busybox:1.37.0-1`],
    programs: ['busybox'],
    entrypoint: [],
    command: ['sh'],
    fill: fillBusybox,
  },
  {
    name: 'agnhost',
    // The others are a Debian with a C library and dig, and one with conntrack, which this is.
    names: [
      `${suites}/agnhost:2.63.0`,
      `${suites}/glibc-dns-testing:2.0.0`,
      'registry.k8s.io/build-image/distroless-iptables:v0.9.6',
    ],
    programs: ['agnhost', 'coredns'],
    entrypoint: ['/agnhost'],
    command: ['pause'],
    isOnDebian: true,
    fill: fillAgnhost,
  },
];

async function fillBusybox(root: string): Promise<void> {
  put(root, '/bin/busybox', 'busybox');
  const { stdout } = await run([programFile('busybox'), '--list-full']);
  for (const applet of stdout.split('\n').filter((line) => line !== '' && line !== 'bin/busybox')) {
    mkdirSync(dirname(join(root, applet)), { recursive: true });
    symlinkSync('/bin/busybox', join(root, applet));
  }
  mkdirSync(join(root, 'etc'));
  mkdirSync(join(root, 'tmp'), { mode: 0o1777 });
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
}

async function fillAgnhost(root: string): Promise<void> {
  put(root, '/agnhost', 'agnhost');
  put(root, '/coredns', 'coredns');
  symlinkSync('agnhost', join(root, 'agnhost-2'));
  mkdirSync(join(root, 'uploads'));
}

function put(root: string, path: string, program: ProgramName): void {
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(programFile(program), target);
  chmodSync(target, 0o755);
}
