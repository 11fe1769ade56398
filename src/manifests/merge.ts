/** The objects of all files together: of an object that stands twice, the first by path counts. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import { identityOf } from './keys.ts';
import type { ParsedFile } from './parse.ts';
import type { ParsedObject } from './parsed.ts';

export interface MergedFiles {
  readonly objects: readonly ParsedObject[];
  readonly diagnostics: readonly Diagnostic[];
}

/** `files` by path. */
export function mergeFiles(files: ReadonlyMap<string, Pick<ParsedFile, 'objects' | 'diagnostics'>>): MergedFiles {
  const first = new Map<string, ParsedObject>();
  const diagnostics: Diagnostic[] = [];
  const inOrder = [...files].toSorted(([left], [right]) => (left < right ? -1 : 1));
  for (const [, file] of inOrder) {
    diagnostics.push(...file.diagnostics);
    for (const object of file.objects) {
      const identity = identityOf(object);
      const other = first.get(identity);
      if (other === undefined) first.set(identity, object);
      else diagnostics.push(duplicate(identity, object, other));
    }
  }
  return { objects: [...first.values()], diagnostics };
}

function duplicate(identity: string, object: ParsedObject, other: ParsedObject): Diagnostic {
  const { location } = object;
  const place = other.location === undefined ? 'elsewhere' : `at ${other.location.file}:${other.location.line}`;
  return {
    severity: 'error',
    object: identity,
    message: `${identity} stands ${place} already, expected once; this one is left out`,
    ...(location === undefined ? {} : { file: location.file, line: location.line }),
  };
}
