/** Commands that write to the kernel, as somebody who may not: one line that says so, and exit code 3. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mainFile, root, runCommand } from './run-sluice.ts';
import type { SluiceResult } from './run-sluice.ts';

const isRoot = process.getuid?.() === 0;

const commands: readonly (readonly [string, readonly string[]])[] = [
  ['agent', ['agent', '--manifests', 'examples/seed', '--http-port', '0', '--api-port', '0']],
  ['cleanup', ['cleanup']],
  ['check', ['check']],
];

type Prefix = readonly [string, ...string[]];
const nobody: Prefix = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--'];
const bareRoot: Prefix = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'];

function sluice(args: readonly string[], prefix?: Prefix): Promise<SluiceResult> {
  const own = [mainFile, ...args] as const;
  return runCommand(prefix === undefined ? [process.execPath, ...own] : [...prefix, process.execPath, ...own]);
}

describe.each(commands)('%s', (name, args) => {
  test('as somebody else than root', async (context) => {
    if (isRoot && (await runCommand([...nobody, 'test', '-r', mainFile])).exitCode !== 0)
      context.skip(`nobody may read ${root}`);
    const { exitCode, stderr, stdout } = await sluice(args, isRoot ? nobody : undefined);
    expect(stderr).toMatch(new RegExp(`^sluice: (?:the )?${name} needs root: [^\\n]*\\n$`));
    expect(exitCode).toBe(3);
    expect(stdout).not.toMatch(/EACCES|\bat |missing: /);
  });

  test.skipIf(!isRoot)('as root of a container that has no NET_ADMIN', async () => {
    const { exitCode, stderr } = await sluice(args, bareRoot);
    expect(stderr).toMatch(new RegExp(`^sluice: (?:the )?${name} needs the capability NET_ADMIN: [^\\n]*\\n$`));
    expect(exitCode).toBe(3);
  });
});

test.skipIf(!isRoot)('for programs, check says it as something that is missing', async () => {
  const { exitCode, stdout, stderr } = await sluice(['check', '-o', 'json'], bareRoot);
  expect(JSON.parse(stdout)).toMatchObject({ ok: false, missing: [{ kind: 'privilege' }] });
  expect([exitCode, stderr]).toEqual([3, '']);
});

test.skipIf(!isRoot).each([
  ['below a file', join(mainFile, 'none'), 'ENOTDIR'],
  // Node's own `mkdir -p` never ends there.
  ['where the kernel lets nobody make one', '/proc/none', 'ENOENT'],
  ['below such a place', '/proc/none/deep', 'ENOENT'],
])('a run directory that cannot be made is no bug either: %s', async (_, runDir, code) => {
  // In a network namespace there is nothing to harm if this went on.
  const args = ['agent', '--manifests', 'examples/seed', '--run-dir', runDir];
  const { exitCode, stderr } = await sluice(args, ['timeout', '--signal', 'KILL', '15', 'unshare', '--net']);
  expect(stderr).toMatch(
    new RegExp(`^sluice: ${runDir}: ${code}[^\\n]*expected a directory that the agent may make and write`),
  );
  expect(exitCode).toBe(3);
});
