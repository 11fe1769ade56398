/** The bundle says and does what the sources do: the image has nothing else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeBundle } from '../../scripts/bundle.ts';
import { CommandError, run } from '../../src/backends/exec.ts';

const root = join(import.meta.dirname, '..', '..');
const seed = ['--manifests', join(root, 'examples', 'seed')] as const;
const directory = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
let files: readonly string[] = [];

beforeAll(async () => {
  files = await writeBundle(directory);
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true }));

interface Answer {
  readonly exitCode: number;
  readonly text: string;
}

async function ask(main: string, args: readonly string[]): Promise<Answer> {
  try {
    return { exitCode: 0, text: (await run([process.execPath, main, ...args])).stdout };
  } catch (error) {
    if (error instanceof CommandError) return { exitCode: error.exitCode ?? -1, text: error.stdout + error.stderr };
    throw error;
  }
}

test('it is JavaScript, and knows no folder of this machine', async () => {
  expect(files.filter((file) => !file.endsWith('.mjs'))).toEqual([]);
  await expect(run(['grep', '-rl', '--', root, directory])).rejects.toThrow('exit code 1');
});

test.each([
  ['version', ['version', '-o', 'json']],
  ['explain', ['explain', 'frontend', 'db:80', ...seed]],
  ['matrix', ['matrix', ...seed]],
  ['get', ['get', 'np', '-A', '-o', 'yaml', ...seed]],
  ['render', ['render', '--node', 'minikube', ...seed]],
  ['status without an agent', ['status', '--run-dir', directory]],
  ['agent without a cluster', ['agent', '--kubeconfig', join(directory, 'none'), '--run-dir', directory]],
  ['help of the agent', ['agent', '--help']],
])(
  '%s answers as the sources do',
  async (_name, args) => {
    const [bundled, source] = [
      await ask(join(directory, 'sluice.mjs'), args),
      await ask(join(root, 'src', 'main.ts'), args),
    ];
    const plain = ({ exitCode, text }: Answer): Answer => ({ exitCode, text: text.replaceAll(/"time":"[^"]*"/g, '') });
    expect(plain(bundled)).toEqual(plain(source));
    expect(bundled.text).not.toBe('');
  },
  30_000,
);

test('the lab stays at home', async () => {
  const { exitCode, text } = await ask(join(directory, 'sluice.mjs'), ['lab', 'up', 'examples/seed']);
  expect([exitCode, text.includes("unknown command 'lab'")]).toEqual([2, true]);
});
