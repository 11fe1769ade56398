import { printable } from './printable.ts';

/** A user's mistake as a value: where, what, and what was expected. Never thrown. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  /** `Kind namespace/name`, or empty where the object could not be named. */
  readonly object: string;
  /** What is wrong and what is expected, one line, no trailing full stop. */
  readonly message: string;
  /** Field path inside the object, e.g. `spec.ingress[0].ports[1].port`. */
  readonly path?: string;
  readonly file?: string;
  /** 1-based line in `file`. */
  readonly line?: number;
  /** A second place that `message` names, as `file:line`: who renames files renames it there too. */
  readonly other?: { readonly file: string; readonly line: number };
}

/** `file:line: field: message`, as compilers print it; parts that are unknown are left out. Whatever the object holds, it is one printable line. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, path, object, message, severity } = diagnostic;
  const place = file === undefined ? object : line === undefined ? file : `${file}:${line}`;
  const parts = [place, path ?? '', severity === 'warning' ? `warning: ${message}` : message];
  return parts
    .filter((part) => part !== '')
    .map(printable)
    .join(': ');
}
