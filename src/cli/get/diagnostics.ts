/** Mistakes in the cluster's objects. */
import type { Diagnostic } from '../../lib/diagnostic.ts';
import type { ResourceTable } from './resource.ts';

const columns = ['SEVERITY', 'OBJECT', 'FIELD', 'MESSAGE'];

export function diagnosticTable(diagnostics: readonly Diagnostic[]): ResourceTable {
  return {
    columns,
    wideColumns: ['PLACE', ...columns],
    resources: diagnostics.map((diagnostic) => {
      const { severity, object, path = '', message, file, line } = diagnostic;
      const namespace = /^\S+ ([^/]+)\//.exec(object)?.[1];
      const cells = [severity, object, path, message];
      const place = file === undefined ? '' : line === undefined ? file : `${file}:${line}`;
      return {
        ...(namespace === undefined ? {} : { namespace }),
        name: object.split('/').at(-1) ?? object,
        cells,
        wideCells: [place, ...cells],
        object: diagnostic,
      };
    }),
    list: { apiVersion: 'sluice.io/v1', kind: 'DiagnosticList' },
  };
}
