/** Takes labs away: the live ones by asking their process, what dead ones left by state file and name prefix. */
import { labOfNamespace } from './names.ts';
import { LabError } from './lab-error.ts';
import { namespacesOf, removeEtc, removeNamespaces } from './network.ts';
import { endProcesses, labsWithDirectory, lockHolder, readState, removeRunDirectory } from './run-directory.ts';

/** A lab's process has so long to take its lab away by itself. */
const downGraceMs = 30_000;

/** Removes one lab, or every lab of the machine; the names of those that were there. */
export async function labDown(which: { readonly name: string } | 'all'): Promise<readonly string[]> {
  if (process.getuid?.() !== 0) throw new LabError('machine', 'lab down needs root: it removes network namespaces');
  const present = await labsOfMachine();
  const names = which === 'all' ? present : present.filter((name) => name === which.name);
  for (const name of names) {
    const holder = await lockHolder(name);
    if (holder !== undefined) await endProcesses([holder], downGraceMs);
    await removeLeftovers(name);
  }
  return names;
}

/** What is left of a lab whose process is gone (or is the one that asks): processes, namespaces, /etc, files. */
export async function removeLeftovers(name: string): Promise<void> {
  const state = await readState(name);
  await endProcesses(state?.processes ?? [], 5000);
  await removeNamespaces(await namespacesOf((lab) => lab === name));
  await removeEtc((lab) => lab === name);
  await removeRunDirectory(name);
}

/** Names of labs that have a directory or a network namespace. */
export async function labsOfMachine(): Promise<readonly string[]> {
  const namespaces = await namespacesOf(() => true);
  const ofNamespaces = namespaces.flatMap((netns) => labOfNamespace(netns) ?? []);
  return [...new Set([...(await labsWithDirectory()), ...ofNamespaces])].sort();
}
