/** The image that is made here without Docker is the one that the Dockerfile describes. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildImage, imageName } from '../../image/build.ts';
import { nodeVersion, ownArchitecture } from '../../image/context.ts';
import { readDockerfile } from '../../image/dockerfile.ts';
import type { ArchivedImage } from '../../image/read-archive.ts';
import { readOciArchive } from '../../image/read-archive.ts';
import type { ChartCase } from './chart-case.ts';

const imageFolder = join(import.meta.dirname, '..', '..', 'image');

/** What must be in it besides the programs that install.sh looks for itself. */
const files: readonly string[] = [
  'usr/local/bin/node',
  'usr/local/bin/sluice',
  'opt/sluice/sluice.mjs',
  'usr/share/sluice/packages.txt',
  'usr/sbin/iptables-nft-restore',
  'usr/sbin/iptables-legacy-restore',
  'usr/sbin/ip6tables-nft-restore',
  'usr/sbin/ip6tables-legacy-restore',
  'usr/sbin/ipset',
  'usr/sbin/nft',
  'usr/sbin/conntrack',
  'usr/bin/stdbuf',
];

/** Of the machine that made it, of packages' caches, or of the project's sources. */
const strange =
  /(^|\/)(sources\.list|99build|resolv\.conf|build-certificates\.pem)$|^context\/|\.tsx?$|^var\/lib\/apt\/lists\/.|\.deb$/;

export const imageCases: readonly ChartCase[] = [
  {
    name: 'the OCI archive is the image of the Dockerfile',
    check: async ({ progress }) => {
      const directory = mkdtempSync(join(tmpdir(), 'sluice-e2e-image-'));
      try {
        const { file } = await buildImage(join(directory, 'image.tar'), progress);
        compare(await readOciArchive(file));
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  },
];

function compare(archive: ArchivedImage): void {
  const version = imageName.split(':').at(-1) ?? '';
  const revision = archive.labels['org.opencontainers.image.revision'] ?? '';
  const values = { TARGETARCH: ownArchitecture(), VERSION: version, REVISION: revision };
  const wanted = readDockerfile(readFileSync(join(imageFolder, 'Dockerfile'), 'utf8'), values);
  same('names', archive.names, [imageName]);
  same('architecture', archive.architecture, ownArchitecture());
  same('entry point', archive.entrypoint, wanted.entrypoint);
  same('command', archive.command, wanted.command);
  same('environment', archive.environment, wanted.environment);
  same('labels', archive.labels, wanted.labels);
  const steps = wanted.steps.map((step) => `install.sh ${step.join(' ')}`);
  same('steps', archive.steps, steps);
  if (!/^[0-9a-f]{40}(-dirty)?$/.test(revision)) throw new Error(`revision: expected a commit, got "${revision}"`);
  // A program may be a link, and may lie where /usr is merged.
  const missing = files.filter((file) => !archive.files.includes(file));
  same('missing files', missing, []);
  same(
    'files that do not belong there',
    archive.files.filter((file) => strange.test(file)),
    [],
  );
  if (nodeVersion() !== process.versions.node)
    throw new Error(`node: ${nodeVersion()} is pinned, this is ${process.version}`);
}

function same(what: string, got: unknown, wanted: unknown): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${what}: expected ${right}, got ${left}`);
}
