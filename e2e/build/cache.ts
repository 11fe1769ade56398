/** Where built programs are kept: one folder for each Go module or package, named by everything that decides its content. */
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ProgramName, Recipe } from './recipes.ts';
import { moduleOptions, recipeOf } from './recipes.ts';

export const modulesFolder = join(import.meta.dirname, 'modules');

/** `$SLUICE_CACHE`, else `~/.cache/sluice`, with `e2e` in it. */
export function e2eCache(): string {
  const { SLUICE_CACHE: chosen } = process.env;
  return join(chosen === undefined || chosen === '' ? join(homedir(), '.cache', 'sluice') : chosen, 'e2e');
}

/** Absolute path that a program has, or will have once it is built. */
export function programFile(name: ProgramName): string {
  const recipe = recipeOf(name);
  return join(e2eCache(), `${familyOf(recipe)}-${keyOf(recipe)}`, 'bin', name);
}

export function isBuilt(name: ProgramName): boolean {
  return existsSync(programFile(name));
}

/** What is built in one go: programs of one Go module share their packages. */
export function familyOf(recipe: Recipe): string {
  if (recipe.kind === 'go') return recipe.module;
  return recipe.kind === 'debian' ? recipe.package : recipe.source.replace(/\.c$/, '');
}

function keyOf(recipe: Recipe): string {
  const hash = createHash('sha256').update(JSON.stringify([1, process.arch, contentOf(recipe)]));
  return hash.digest('hex').slice(0, 12);
}

function contentOf(recipe: Recipe): readonly unknown[] {
  if (recipe.kind === 'debian') return [recipe];
  if (recipe.kind === 'c') return [readFileSync(join(import.meta.dirname, recipe.source), 'utf8')];
  const folder = join(modulesFolder, recipe.module);
  const files = globSync('*', { cwd: folder }).sort();
  return [moduleOptions[recipe.module] ?? {}, ...files.map((file) => [file, readFileSync(join(folder, file), 'utf8')])];
}
