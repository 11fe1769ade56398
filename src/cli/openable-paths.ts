/** File names that people can click on: as seen from where they stand, not from the directory of manifests. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { ClusterObject } from '../cluster/objects.ts';
import type { ClusterChange, ClusterStore } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

export interface PlacedCluster {
  readonly state: ClusterStore;
  readonly diagnostics: readonly Diagnostic[];
}

/** `manifests` is what the user gave: a directory or one file. The state is changed in place. */
export function withOpenablePaths({ state, diagnostics }: PlacedCluster, manifests: string): PlacedCluster {
  const folder = statSync(manifests).isDirectory() ? manifests : dirname(manifests);
  const known = new Map<string, string>();
  const openable = (file: string): string => {
    const path = known.get(file) ?? openablePath(folder, file);
    known.set(file, path);
    return path;
  };
  const changes = [...objectsOf(state)].flatMap((object): readonly ClusterChange[] => {
    const { location } = object;
    if (location === undefined) return [];
    return [{ type: 'set', object: { ...object, location: { ...location, file: openable(location.file) } } }];
  });
  state.apply(changes);
  return {
    state,
    diagnostics: diagnostics.map((one) => placedAnew(one, openable)),
  };
}

function placedAnew(diagnostic: Diagnostic, openable: (file: string) => string): Diagnostic {
  const { file, message, other } = diagnostic;
  const placed = file === undefined ? diagnostic : { ...diagnostic, file: openable(file) };
  if (other === undefined) return placed;
  const moved = { ...other, file: openable(other.file) };
  const text = message.replace(`${other.file}:${other.line}`, () => `${moved.file}:${moved.line}`);
  return { ...placed, message: text, other: moved };
}

/** An object may say itself where it was written first (a lab's files do): that is not ours to change. */
function openablePath(folder: string, file: string): string {
  const path = join(folder, file);
  if (!existsSync(path)) return file;
  const here = relative('', path);
  return here.startsWith('..') ? path : here;
}

function* objectsOf(state: ClusterStore): Generator<ClusterObject> {
  yield* state.namespaces.values();
  yield* state.nodes.values();
  yield* state.pods.values();
  yield* state.networkPolicies.values();
  yield* state.services.values();
  yield* state.endpointSlices.values();
  yield* state.serviceCidrs.values();
}
