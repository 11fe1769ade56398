/** The objects of all files together: of an object that stands twice, the first by path counts. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import { identityOf } from './keys.ts';
import type { ParsedFile } from './parse.ts';
import type { ParsedObject } from './parsed.ts';
import type { ObjectsByKind } from './sorted-kinds.ts';
import { SortedKinds } from './sorted-kinds.ts';

/** What counts of a file: the objects that it has in force, and what is wrong with it. */
export type FileContent = Pick<ParsedFile, 'objects' | 'diagnostics'>;

export interface MergedFiles {
  readonly objects: readonly ParsedObject[];
  readonly diagnostics: readonly Diagnostic[];
}

/** `files` by path. */
export function mergeFiles(files: ReadonlyMap<string, FileContent>): MergedFiles {
  const merging = new FileMerger();
  for (const [path, file] of files) merging.set(path, file);
  const { namedNamespaces: _named, ...lists } = merging.byKind;
  return { objects: Object.values(lists).flat(), diagnostics: merging.diagnostics };
}

/** An object as one file has it. */
interface Claim {
  readonly path: string;
  /** Place in the file. */
  readonly index: number;
  readonly object: ParsedObject;
}

/** Follows files one by one: a file that changed costs what it holds, not what all hold. */
export class FileMerger {
  readonly #files = new Map<string, FileContent>();
  /** By identity, in the order in which they count; never empty. */
  readonly #claims = new Map<string, readonly Claim[]>();
  readonly #repeated = new Set<string>();
  readonly #faulty = new Set<string>();
  readonly #kinds = new SortedKinds();

  /** Undefined: the file is gone. */
  set(path: string, file: FileContent | undefined): void {
    const before = this.#files.get(path)?.objects ?? [];
    if (file === undefined) this.#files.delete(path);
    else this.#files.set(path, file);
    if (file === undefined || file.diagnostics.length === 0) this.#faulty.delete(path);
    else this.#faulty.add(path);
    const touched = new Set([...before, ...(file?.objects ?? [])].map(identityOf));
    const now = Map.groupBy(
      (file?.objects ?? []).map((object, index): Claim => ({ path, index, object })),
      ({ object }) => identityOf(object),
    );
    for (const identity of touched) this.#claim(identity, path, now.get(identity) ?? []);
  }

  /** Sorted by name; the list of a kind stays the very same array until an object of that kind changes. */
  get byKind(): ObjectsByKind {
    return this.#kinds.lists;
  }

  /** File by file, in the order of their paths. */
  get diagnostics(): readonly Diagnostic[] {
    const duplicates = [...this.#repeated].flatMap((identity) =>
      duplicatesOf(identity, this.#claims.get(identity) ?? []),
    );
    const byPath = Map.groupBy(duplicates, ({ path }) => path);
    return [...new Set([...this.#faulty, ...byPath.keys()])].toSorted().flatMap((path) => {
      const repeated = (byPath.get(path) ?? []).toSorted((left, right) => left.index - right.index);
      return [...(this.#files.get(path)?.diagnostics ?? []), ...repeated.map(({ diagnostic }) => diagnostic)];
    });
  }

  #claim(identity: string, path: string, own: readonly Claim[]): void {
    const before = this.#claims.get(identity) ?? [];
    const claims = [...before.filter((claim) => claim.path !== path), ...own].toSorted(inOrder);
    if (claims.length > 0) this.#claims.set(identity, claims);
    else this.#claims.delete(identity);
    if (claims.length > 1) this.#repeated.add(identity);
    else this.#repeated.delete(identity);
    this.#kinds.replace(before[0]?.object, claims[0]?.object);
  }
}

function inOrder(left: Claim, right: Claim): number {
  if (left.path !== right.path) return left.path < right.path ? -1 : 1;
  return left.index - right.index;
}

interface Duplicate {
  readonly path: string;
  readonly index: number;
  readonly diagnostic: Diagnostic;
}

function duplicatesOf(identity: string, [first, ...others]: readonly Claim[]): readonly Duplicate[] {
  if (first === undefined) return [];
  return others.map(({ path, index, object }) => ({
    path,
    index,
    diagnostic: duplicate(identity, object, first.object),
  }));
}

function duplicate(identity: string, object: ParsedObject, other: ParsedObject): Diagnostic {
  const { location } = object;
  const first = other.location;
  const place = first === undefined ? 'elsewhere' : `at ${first.file}:${first.line}`;
  return {
    severity: 'error',
    object: identity,
    message: `${identity} stands ${place} already, expected once; this one is left out`,
    ...(location === undefined ? {} : { file: location.file, line: location.line }),
    ...(first === undefined ? {} : { other: { file: first.file, line: first.line } }),
  };
}
