/** Builds the programs of the e2e cluster into the cache. A program is there, whole, under its name, or it is not. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Argv } from '../../src/backends/exec.ts';
import { CommandError, spawnProcess } from '../../src/backends/exec.ts';
import { e2eCache, familyOf, isBuilt, modulesFolder, programFile } from './cache.ts';
import { withLock } from './lock.ts';
import { checkGo, packageOf } from './machine.ts';
import type { DebianRecipe, GoRecipe, ProgramName } from './recipes.ts';
import { moduleOptions, recipeOf } from './recipes.ts';

export type Progress = (line: string) => void;

/** Absolute path of a built program; throws with the command that builds it when it is not there. */
export function binary(name: ProgramName): string {
  if (!isBuilt(name)) throw new Error(`${name} is not built: run node e2e/build/main.ts ${name}`);
  return programFile(name);
}

/**
 * Builds what is missing of `names`, one program after the other, at low priority: minutes when the cache is cold, nothing
 * when it is warm. Throws Error with the end of the build's log, or a machine error where a tool is missing.
 */
export async function buildAll(names: readonly ProgramName[], progress: Progress): Promise<void> {
  if (names.every(isBuilt)) return;
  mkdirSync(e2eCache(), { recursive: true });
  const waiting = (): void => progress('build: another build is under way; waiting for it');
  await withLock(join(e2eCache(), 'lock'), waiting, async () => {
    for (const name of names) if (!isBuilt(name)) await buildOne(name, progress);
  });
}

async function buildOne(name: ProgramName, progress: Progress): Promise<void> {
  const started = performance.now();
  progress(`build: ${name} ...`);
  const recipe = recipeOf(name);
  const target = programFile(name);
  mkdirSync(dirname(target), { recursive: true });
  const work = mkdtempSync(join(e2eCache(), `.${familyOf(recipe)}-`));
  try {
    const made = join(work, name);
    if (recipe.kind === 'go') await buildGo(recipe, made, work);
    else if (recipe.kind === 'debian') renameSync(await unpackDebian(recipe, work), made);
    else await logged(['gcc', '-Os', '-static', '-o', made, join(import.meta.dirname, recipe.source)], work);
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  progress(`build: ${name} ${Math.round((performance.now() - started) / 1000)} s`);
}

async function buildGo(recipe: GoRecipe, target: string, work: string): Promise<void> {
  await checkGo();
  const { tags = [], linkerFlags = [], needsCgo = false } = moduleOptions[recipe.module] ?? {};
  const command = recipe.isTest === true ? ['test', '-c', '-vet=off'] : ['build'];
  const flags = ['-mod=readonly', '-trimpath', `-ldflags=${['-s', '-w', ...linkerFlags].join(' ')}`];
  const argv: Argv = [
    ...(['nice', '-n', '5', 'go'] as const),
    ...command,
    ...flags,
    ...(tags.length === 0 ? [] : [`-tags=${tags.join(',')}`]),
    '-o',
    target,
    recipe.path,
  ];
  await logged(argv, work, {
    cwd: join(modulesFolder, recipe.module),
    env: { CGO_ENABLED: needsCgo ? '1' : '0', GOFLAGS: undefined },
  });
}

/** Unpacked, not installed: a package's service would start on the machine. */
async function unpackDebian(recipe: DebianRecipe, work: string): Promise<string> {
  const archive = await packageOf(recipe.package, work, logged);
  const root = join(work, 'root');
  await logged(['dpkg-deb', '-x', archive, root], work);
  return join(root, recipe.file);
}

/** Runs a program with its output in `log` of the work folder; throws Error with the log's end unless it exits with 0. */
async function logged(
  argv: Argv,
  work: string,
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Promise<void> {
  const file = join(work, 'log');
  const { exited } = spawnProcess(argv, { cwd: work, ...options, stdout: { file }, stderr: { file } });
  const { exitCode } = await exited;
  if (exitCode === 0) return;
  const end = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
  throw new CommandError({ argv, stderr: end, ...(exitCode === undefined ? {} : { exitCode }) });
}
