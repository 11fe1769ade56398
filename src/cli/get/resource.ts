/** One row of `sluice get`, in every form that it can be printed in. */
export interface Resource {
  /** Absent: the kind has no namespaces. */
  readonly namespace?: string;
  readonly name: string;
  /** Cells of the plain and of the wide table. */
  readonly cells: readonly string[];
  readonly wideCells: readonly string[];
  /** For YAML and JSON. */
  readonly object: object;
}

export interface ResourceTable {
  readonly columns: readonly string[];
  readonly wideColumns: readonly string[];
  readonly resources: readonly Resource[];
  /** Envelope of several objects. */
  readonly list: { readonly apiVersion: string; readonly kind: string };
}
