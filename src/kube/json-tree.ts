/** JSON as the tree that the manifests' readers take. */
import type { MapEntry, Tree } from '../manifests/tree.ts';

/** Lines are 0: what the API server sends has none. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'list', line: 0, items: value.map(treeOf) };
  if (typeof value === 'object' && value !== null) {
    const entries = new Map<string, MapEntry>();
    for (const [key, inner] of Object.entries(value)) entries.set(key, { line: 0, value: treeOf(inner) });
    return { kind: 'map', line: 0, entries, duplicates: [] };
  }
  const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return { kind: 'scalar', line: 0, value: isScalar ? value : null };
}
