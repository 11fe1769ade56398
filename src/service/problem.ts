/** What is wrong with a Service or a slice, with its place in the manifest where that is known. */
import type { EndpointSlice, Service } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

export function problemAt(object: Service | EndpointSlice, path: string, message: string): Diagnostic {
  const { location } = object;
  const place = location === undefined ? {} : { file: location.file, line: location.lines.get(path) ?? location.line };
  return { severity: 'error', object: describeObject(object), path, message, ...place };
}
