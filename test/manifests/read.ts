/** What tests of this layer share: text in, objects and messages out. */
import type { ClusterObject } from '../../src/cluster/objects.ts';
import { keyOf } from '../../src/cluster/objects.ts';
import { formatDiagnostic } from '../../src/lib/diagnostic.ts';
import type { ClusterDefaults } from '../../src/manifests/defaults.ts';
import { clusterDefaults } from '../../src/manifests/defaults.ts';
import { ClusterFiller } from '../../src/manifests/fill.ts';
import { mergeFiles } from '../../src/manifests/merge.ts';
import { parseManifest } from '../../src/manifests/parse.ts';
import type { ParsedObject } from '../../src/manifests/parsed.ts';

export function parse(text: string): readonly ParsedObject[] {
  return parseManifest(text, 'a.yaml').objects;
}

/** Every message as the user sees it. */
export function messages(text: string): readonly string[] {
  return parseManifest(text, 'a.yaml').diagnostics.map(formatDiagnostic);
}

/** The filled-in cluster of one file, by `Kind key`. */
export function fill(text: string, defaults: ClusterDefaults = clusterDefaults()): Map<string, ClusterObject> {
  const { objects } = mergeFiles(new Map([['a.yaml', parseManifest(text, 'a.yaml')]]));
  return byIdentity(new ClusterFiller(defaults).fill(objects).objects);
}

export function byIdentity(objects: readonly ClusterObject[]): Map<string, ClusterObject> {
  return new Map(objects.map((object) => [`${object.kind} ${keyOf(object)}`, object]));
}

/** The object without where it was written. */
export function withoutLocation<T extends { readonly location?: unknown }>(object: T): Omit<T, 'location'> {
  const { location: _location, ...rest } = object;
  return rest;
}
