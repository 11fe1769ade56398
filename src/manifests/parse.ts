/** The text of one file as checked objects and what is wrong with the rest. Pure; any text gives a result. */
import type { ManifestLocation } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { unreachable } from '../lib/unreachable.ts';
import type { Field } from './fields.ts';
import {
  alternatives,
  checkDuplicates,
  child,
  collectLines,
  describe,
  descend,
  ObjectReport,
  readItems,
} from './fields.ts';
import type { ReadKind } from './kinds.ts';
import { isMeantAsNetworkPolicy, isReadKind, passOver, readKinds } from './kinds.ts';
import { locationAnnotation, parseLocation } from './location.ts';
import type { ParsedObject } from './parsed.ts';
import { readEndpointSlice } from './read-endpoint-slice.ts';
import type { Metadata } from './read-metadata.ts';
import { readMetadata } from './read-metadata.ts';
import { readNamespace, readNode } from './read-node.ts';
import { readDeployment, readPod } from './read-pod.ts';
import { readNetworkPolicy } from './read-policy.ts';
import { readServiceCidr } from './read-service-cidr.ts';
import { readService } from './read-service.ts';
import type { ListTree, Tree } from './tree.ts';
import { readDocuments, splitDocuments } from './tree.ts';

export interface ParsedFile {
  readonly objects: readonly ParsedObject[];
  readonly diagnostics: readonly Diagnostic[];
  /** False where a document is not YAML: what it holds is unknown, so a watcher keeps what the file held before. */
  readonly isYaml: boolean;
  /** Documents by line and text: an unchanged one keeps its objects when the file is parsed again. */
  readonly documents: ReadonlyMap<string, ParsedDocument>;
}

export interface ParsedDocument {
  readonly objects: readonly ParsedObject[];
  readonly diagnostics: readonly Diagnostic[];
  readonly isYaml: boolean;
}

/** `previous` is what the same file gave before; the objects of documents that are still the same are taken from there. */
export function parseManifest(text: string, file: string, previous?: ParsedFile): ParsedFile {
  const documents = new Map<string, ParsedDocument>();
  for (const chunk of splitDocuments(text.replace(/^\uFEFF/, ''))) {
    const key = `${chunk.line}\n${chunk.text}`;
    documents.set(key, previous?.documents.get(key) ?? parseDocuments(chunk, file));
  }
  const parsed = [...documents.values()];
  return {
    objects: parsed.flatMap((document) => document.objects),
    diagnostics: parsed.flatMap((document) => document.diagnostics),
    isYaml: parsed.every((document) => document.isYaml),
    documents,
  };
}

function parseDocuments(chunk: Parameters<typeof readDocuments>[0], file: string): ParsedDocument {
  const result: Collected = { objects: [], diagnostics: [] };
  let isYaml = true;
  for (const document of readDocuments(chunk)) {
    if (document.kind === 'tree') parseTree({ ...document, file }, result);
    if (document.kind !== 'broken') continue;
    isYaml = false;
    const message = `not YAML: ${document.message}; nothing of this document is read`;
    result.diagnostics.push({ severity: 'error', object: '', message, file, line: document.line });
  }
  return { ...result, isYaml };
}

interface Collected {
  readonly objects: ParsedObject[];
  readonly diagnostics: Diagnostic[];
}

interface ObjectTree {
  readonly tree: Tree;
  readonly hasDuplicates: boolean;
  readonly file: string;
  /** What a typed list says of its items. */
  readonly implied?: { readonly kind: string; readonly apiVersion: string };
}

function parseTree(document: ObjectTree, result: Collected): void {
  const { tree, file, implied, hasDuplicates } = document;
  const report = new ObjectReport();
  const root: Field = { path: '', line: tree.line, tree };
  if (tree.kind !== 'map') {
    if (isFlowList(tree)) return;
    report.error(root, `${describe(tree)}, expected an object with apiVersion and kind`);
    result.diagnostics.push(...toDiagnostics(report, '', file));
    return;
  }
  const kind = textOf(child(root, 'kind')) ?? implied?.kind ?? '';
  const apiVersion = textOf(child(root, 'apiVersion')) ?? implied?.apiVersion ?? '';
  if (kind.endsWith('List')) parseList(document, { root, kind, apiVersion }, result);
  else parseObject({ root, kind, apiVersion, file, hasDuplicates }, report, result);
}

/** A `List` of anything, a typed list, or an object whose kind happens to end so. */
function parseList(document: ObjectTree, list: ListObject, result: Collected): void {
  const { root, kind, apiVersion } = list;
  const { file, hasDuplicates } = document;
  const report = new ObjectReport();
  const items = child(root, 'items');
  if (items.tree?.kind === 'list') return parseItems(document, { kind, apiVersion, items: items.tree }, result);
  if (!isListKind(kind)) return parseObject({ root, kind, apiVersion, file, hasDuplicates }, report, result);
  if (items.tree === undefined) report.error(items, 'missing, expected a list of objects');
  readItems(report, items);
  result.diagnostics.push(...toDiagnostics(report, '', file));
}

/** A list that could hold what we read: where its items are no list, all that it was to say is lost. */
function isListKind(kind: string): boolean {
  return kind === 'List' || (kind.endsWith('List') && isReadKind(kind.slice(0, -'List'.length)));
}

/** The items of a typed list need not say again what they are. */
function parseItems(
  document: ObjectTree,
  list: { readonly kind: string; readonly apiVersion: string; readonly items: ListTree },
  result: Collected,
): void {
  const { kind, apiVersion, items } = list;
  const isTyped = kind !== 'List';
  for (const tree of items.items) {
    const implied = isTyped ? { implied: { kind: kind.slice(0, -'List'.length), apiVersion } } : {};
    parseTree({ ...document, tree, ...implied }, result);
  }
}

interface ListObject {
  readonly root: Field;
  readonly kind: string;
  readonly apiVersion: string;
}

interface RootObject extends ListObject {
  readonly file: string;
  readonly hasDuplicates: boolean;
}

function parseObject(object: RootObject, report: ObjectReport, result: Collected): void {
  const { root, kind, apiVersion, file } = object;
  const name = describeRoot(root, kind);
  if (!isOurs(object, report)) {
    result.diagnostics.push(...toDiagnostics(report, name, file));
    return;
  }
  if (!isReadKind(kind)) return;
  if (apiVersion !== readKinds[kind].apiVersion) {
    const stated = apiVersion === '' ? 'missing' : JSON.stringify(apiVersion);
    report.error(child(root, 'apiVersion'), `${stated}, expected ${readKinds[kind].apiVersion}`);
  }
  if (object.hasDuplicates) checkDuplicates(report, root);
  const metadata = readMetadata(report, root, readKinds[kind]);
  const parsed = readKind(kind, { root, metadata, location: locate(kind, root, file) }, report);
  const isIsolating = kind === 'NetworkPolicy' && parsed !== undefined;
  if (parsed !== undefined && (!report.failed || isIsolating)) result.objects.push(parsed);
  result.diagnostics.push(...toDiagnostics(report, name, file));
  if (kind === 'NetworkPolicy' && report.failed) {
    result.diagnostics.push(policyOutcome(parsed, { name, file, line: root.line }));
  }
}

/** Whether the object is one that we read; if it is not, the report says what there is to say. */
function isOurs(object: RootObject, report: ObjectReport): boolean {
  const { root, kind, apiVersion } = object;
  if (kind === '') {
    report.error(child(root, 'kind'), `missing, expected ${alternatives(Object.keys(readKinds))}`);
    return false;
  }
  if (isReadKind(kind)) {
    const isStated = apiVersion === '' || apiVersion === readKinds[kind].apiVersion;
    if (isStated || isMeantAsNetworkPolicy(kind, apiVersion)) return true;
  }
  if (apiVersion === '') {
    report.error(child(root, 'apiVersion'), 'missing, expected the API group and version of the object');
    return false;
  }
  const passed = passOver(kind, apiVersion);
  if (passed.kind === 'error') report.error(child(root, 'kind'), passed.message);
  if (passed.kind === 'warning') report.warning(child(root, 'kind'), passed.message);
  return false;
}

interface ReadContext {
  readonly root: Field;
  readonly metadata: Metadata | undefined;
  readonly location: ManifestLocation;
}

function readKind(kind: ReadKind, context: ReadContext, report: ObjectReport): ParsedObject | undefined {
  const { root, metadata, location } = context;
  if (kind === 'NetworkPolicy') return readNetworkPolicy(report, root, metadata, location);
  // The other kinds are left out when they are malformed; a nameless one is read for its messages alone.
  const named: Metadata = metadata ?? {
    name: '',
    namespace: '',
    labels: {},
    annotations: child(root, 'metadata'),
    terminating: false,
  };
  switch (kind) {
    case 'Namespace':
      return readNamespace(report, root, named, location);
    case 'Node':
      return readNode(report, root, named, location);
    case 'Pod':
      return readPod(report, root, named, location);
    case 'Deployment':
      return readDeployment(report, root, named, location);
    case 'Service':
      return readService(report, root, named, location);
    case 'EndpointSlice':
      return readEndpointSlice(report, root, named, location);
    case 'ServiceCIDR':
      return readServiceCidr(report, root, named, location);
    default:
      return unreachable(kind);
  }
}

/** What became of a malformed policy: the user must know whether it protects anything. */
function policyOutcome(
  policy: ParsedObject | undefined,
  place: { readonly name: string; readonly file: string; readonly line: number },
): Diagnostic {
  const { name, file, line } = place;
  if (policy === undefined || policy.kind !== 'NetworkPolicy') {
    const message = `${name} is left out and isolates nothing: which pods it selects cannot be read`;
    return { severity: 'error', object: name, message, file, line };
  }
  const { isolatesIngress, isolatesEgress } = policy;
  const directions = [...(isolatesIngress ? ['ingress'] : []), ...(isolatesEgress ? ['egress'] : [])].join(' and ');
  const message = `${name} isolates the pods it selects (${directions}) and allows nothing until its errors are mended`;
  return { severity: 'warning', object: name, message, file, line };
}

function locate(kind: ReadKind, root: Field, file: string): ManifestLocation {
  const stated = textOf(descend(root, 'metadata', 'annotations', locationAnnotation));
  const known = stated === undefined ? undefined : parseLocation(stated);
  if (known !== undefined) return known;
  const hasLines = kind === 'NetworkPolicy' || kind === 'Service';
  const lines = hasLines ? collectLines(child(root, 'spec')) : new Map<string, number>();
  return { file, line: root.line, lines };
}

function toDiagnostics(report: ObjectReport, object: string, file: string): readonly Diagnostic[] {
  const inOrder = report.problems.toSorted((left, right) => left.line - right.line);
  return inOrder.map(({ severity, path, line, message }) => ({
    severity,
    object,
    message,
    ...(path === '' ? {} : { path }),
    file,
    line,
  }));
}

function describeRoot(root: Field, kind: string): string {
  const metadata = child(root, 'metadata');
  const name = textOf(child(metadata, 'name'));
  if (name === undefined || kind === '') return kind;
  const isClusterWide = isReadKind(kind) && !readKinds[kind].namespaced;
  return isClusterWide ? `${kind} ${name}` : `${kind} ${textOf(child(metadata, 'namespace')) ?? 'default'}/${name}`;
}

function textOf(field: Field): string | undefined {
  return field.tree?.kind === 'scalar' && typeof field.tree.value === 'string' ? field.tree.value : undefined;
}

/** The expected flows of `sluice test` may lie beside the manifests that they are about. */
function isFlowList(tree: Tree): boolean {
  if (tree.kind !== 'list' || tree.items.length === 0) return false;
  return tree.items.every(
    (item) => item.kind === 'map' && ['from', 'to', 'expect'].every((key) => item.entries.has(key)),
  );
}
