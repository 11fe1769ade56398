import { nearNames } from '../../explain/near-names.ts';
import { CliError, exitCodes } from '../exit-code.ts';
import { formatJson, formatYaml } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { formatTable } from '../table.ts';
import type { Resource, ResourceTable } from './resource.ts';

export interface ResourceView {
  /** Empty: all. */
  readonly names: readonly string[];
  /** Absent: every namespace. */
  readonly namespace?: string;
  readonly showNamespace: boolean;
  readonly output: OutputFormat;
}

/** What `sluice get` prints. A name that is not there is an error. */
export function formatResources(table: ResourceTable, view: ResourceView): string {
  const visible = table.resources.filter(({ namespace }) => isIn(namespace, view.namespace)).toSorted(byName);
  const chosen = view.names.length === 0 ? visible : view.names.flatMap((name) => named(visible, name, view));
  if (view.output === 'wide') return asTable(table.wideColumns, chosen, (resource) => resource.wideCells, view);
  if (view.output === 'table') return asTable(table.columns, chosen, (resource) => resource.cells, view);
  const format = view.output === 'json' ? formatJson : formatYaml;
  const [only] = chosen;
  const { apiVersion, kind } = table.list;
  const isOne = view.names.length === 1 && chosen.length === 1 && only !== undefined;
  return format(isOne ? only.object : { apiVersion, items: chosen.map(({ object }) => object), kind, metadata: {} });
}

function isIn(namespace: string | undefined, wanted: string | undefined): boolean {
  return namespace === undefined || wanted === undefined || namespace === wanted;
}

/** Policies answer to Calico's name and to their own. */
function named(resources: readonly Resource[], name: string, view: ResourceView): readonly Resource[] {
  const found = resources.filter((resource) =>
    [resource.name, resource.cells[0]].some((own) => own === name || own === `knp.default.${name}`),
  );
  if (found.length > 0) return found;
  const place = view.namespace === undefined ? '' : ` in namespace ${view.namespace}`;
  const near = nearNames(name, [...new Set(resources.map((resource) => resource.name))]);
  const hint = near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
  throw new CliError(exitCodes.badInput, `get: nothing is called ${name}${place}${hint}`);
}

function asTable(
  columns: readonly string[],
  resources: readonly Resource[],
  cellsOf: (resource: Resource) => readonly string[],
  { showNamespace }: ResourceView,
): string {
  if (!showNamespace || resources.every(({ namespace }) => namespace === undefined)) {
    return formatTable(columns, resources.map(cellsOf));
  }
  const rows = resources.map((resource) => [resource.namespace ?? '', ...cellsOf(resource)]);
  return formatTable(['NAMESPACE', ...columns], rows);
}

function byName(left: Resource, right: Resource): number {
  return compare(left.namespace ?? '', right.namespace ?? '') || compare(left.name, right.name);
}

function compare(left: string, right: string): number {
  return left === right ? 0 : left < right ? -1 : 1;
}
