/** What a filler has to say about the objects that it filled in. */
import type { ManifestLocation } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

export interface Placed {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly location?: ManifestLocation;
}

export class FillReport {
  readonly diagnostics: Diagnostic[] = [];

  /** A range has no value left. */
  exhausted(object: Placed, what: string, range: string): void {
    this.add('error', object, `no ${what} is left in ${range}, expected a larger range or one that the file states`);
  }

  add(severity: Diagnostic['severity'], object: Placed, message: string): void {
    const { location } = object;
    const place = location === undefined ? {} : { file: location.file, line: location.line };
    this.diagnostics.push({ severity, object: describePlaced(object), message, ...place });
  }
}

/** `Kind namespace/name` */
export function describePlaced(object: Placed): string {
  return object.namespace === undefined
    ? `${object.kind} ${object.name}`
    : `${object.kind} ${object.namespace}/${object.name}`;
}
