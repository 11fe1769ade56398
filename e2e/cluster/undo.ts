/** Takes belongings of a run off the machine, each kind in its way; what is gone already is no error. */
import { existsSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import type { ProcessMark } from './running.ts';
import { end } from './running.ts';

export type Belonging =
  | { readonly kind: 'process'; readonly mark: ProcessMark; readonly name: string }
  | { readonly kind: 'netns'; readonly name: string }
  | { readonly kind: 'cgroups'; readonly name: string }
  /** A value of the machine's /proc/sys before the run. */
  | { readonly kind: 'sysctl'; readonly file: string; readonly value: string }
  | { readonly kind: 'folder'; readonly folder: string };

/** The errors of those that could not be undone. */
export async function undo(belongings: readonly Belonging[]): Promise<readonly unknown[]> {
  const errors: unknown[] = [];
  for (const belonging of belongings) {
    try {
      await undoOne(belonging);
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

async function undoOne(belonging: Belonging): Promise<void> {
  switch (belonging.kind) {
    case 'process':
      return end(belonging.mark, 3000);
    case 'netns':
      return deleteNetns(belonging.name);
    case 'cgroups':
      return removeCgroups(belonging.name);
    case 'sysctl':
      return writeFileSync(belonging.file, belonging.value);
    case 'folder':
      return rmSync(belonging.folder, { recursive: true, force: true });
  }
}

async function deleteNetns(name: string): Promise<void> {
  if (!existsSync(`/run/netns/${name}`)) return;
  await run(['ip', 'netns', 'del', name]);
}

/** cgroups named `name` in every hierarchy, with all that is in them. */
async function removeCgroups(name: string): Promise<void> {
  const mount = '/sys/fs/cgroup';
  const hierarchies = [mount, ...readdirSync(mount).map((entry) => join(mount, entry))];
  for (const folder of hierarchies.map((hierarchy) => join(hierarchy, name)).filter(existsSync)) removeCgroup(folder);
}

function removeCgroup(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(folder, entry.name));
  }
  rmdirSync(folder);
}
