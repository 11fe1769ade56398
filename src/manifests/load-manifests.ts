/** A directory of manifests as a cluster, once. */
import { lintCluster } from '../cluster/lint.ts';
import { ClusterStore } from '../cluster/state.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { ClusterDefaults } from './defaults.ts';
import { ClusterFiller } from './fill.ts';
import { ManifestFiles } from './manifest-files.ts';
import { FileMerger } from './merge.ts';

export interface LoadedManifests {
  readonly state: ClusterStore;
  /** Everything that is wrong or doubtful: files first, then what was filled in, then lint. */
  readonly diagnostics: readonly Diagnostic[];
}

/** `directory` may also be one file. Fails with ManifestError where it cannot be read at all. */
export async function loadManifests(directory: string, defaults: ClusterDefaults): Promise<LoadedManifests> {
  const files = await ManifestFiles.open(directory);
  await files.refreshAll(await files.list(), 0);
  const merger = new FileMerger();
  for (const [path, content] of files.takeChanged()) merger.set(path, content);
  const filled = new ClusterFiller(defaults).fillKinds(merger.byKind);
  const state = new ClusterStore();
  state.apply(filled.objects.map((object) => ({ type: 'set', object })));
  const found = [...merger.diagnostics, ...filled.diagnostics];
  const ranges = {
    podCidrs: defaults.ipFamilies.map((family) => defaults.podCidr[family]),
    serviceCidrs: defaults.ipFamilies.map((family) => defaults.serviceCidr[family]),
  };
  const refused = found.flatMap(({ severity, object }) => (severity === 'error' ? (object ?? []) : []));
  return { state, diagnostics: [...found, ...lintCluster(state, ranges, new Set(refused))] };
}
