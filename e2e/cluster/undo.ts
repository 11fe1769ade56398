/** Takes belongings of a run off the machine, each kind in its way; what is gone already is no error. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { run } from '../../src/backends/exec.ts';
import { clearCgroup } from './cgroups.ts';
import type { ProcessMark } from './running.ts';
import { end } from './running.ts';

export type Belonging =
  | { readonly kind: 'process'; readonly mark: ProcessMark; readonly name: string }
  | { readonly kind: 'netns'; readonly name: string }
  /** With every process in them: a node's daemons and containers. */
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
      return clearCgroup(belonging.name);
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
