/** What is wrong with a Service, with its place in the manifest where that is known. */
import type { Service } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';

export function problemAt(service: Service, path: string, message: string): Diagnostic {
  const line = service.location?.lines.get(path) ?? service.location?.line;
  const place = service.location === undefined || line === undefined ? {} : { file: service.location.file, line };
  return { severity: 'error', object: describeObject(service), path, message, ...place };
}
