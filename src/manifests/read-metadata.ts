/** metadata of any object: the parts that name it and the parts that are used. */
import type { Labels } from '../cluster/objects.ts';
import type { Field, ObjectReport } from './fields.ts';
import { checkFields, child, quote, readEntries, readMap, readMapItems, readString, readSyntax } from './fields.ts';
import { readLabels } from './read-values.ts';
import { expectedDnsLabel, expectedDnsSubdomain, isDnsLabel, isDnsSubdomain } from './syntax.ts';

export interface Metadata {
  readonly name: string;
  /** Empty for kinds without namespaces. */
  readonly namespace: string;
  readonly uid?: string;
  readonly labels: Labels;
  readonly annotations: Field;
  readonly terminating: boolean;
  readonly createdAtMs?: number;
  /** The Deployment that made it (directly, or through a ReplicaSet). */
  readonly deployment?: string;
}

export interface Naming {
  readonly namespaced: boolean;
  /** What the API server accepts as a name of the kind. */
  readonly name: 'label' | 'subdomain';
}

const metadataFields = [
  'name',
  'generateName',
  'namespace',
  'labels',
  'annotations',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'ownerReferences',
  'finalizers',
  'managedFields',
  'selfLink',
];

/** Undefined where the object cannot be named; its other errors are reported too. */
export function readMetadata(report: ObjectReport, root: Field, naming: Naming): Metadata | undefined {
  const field = child(root, 'metadata');
  if (field.tree === undefined) return report.error(field, 'missing, expected at least a name');
  if (readMap(report, field) === undefined) return undefined;
  checkFields(report, field, metadataFields);
  const name = readName(report, child(field, 'name'), naming);
  const namespace = readNamespace(report, child(field, 'namespace'), naming);
  const uid = readString(report, child(field, 'uid'));
  const labels = readLabels(report, child(field, 'labels'));
  const annotations = child(field, 'annotations');
  for (const [, entry] of readEntries(report, annotations)) readString(report, entry);
  const createdAtMs = readTimestamp(report, child(field, 'creationTimestamp'));
  const deployment = readOwner(report, child(field, 'ownerReferences'), labels);
  if (name === undefined || namespace === undefined) return undefined;
  return {
    name,
    namespace,
    labels,
    annotations,
    terminating: child(field, 'deletionTimestamp').tree !== undefined,
    ...(uid === undefined ? {} : { uid }),
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
    ...(deployment === undefined ? {} : { deployment }),
  };
}

function readName(report: ObjectReport, field: Field, naming: Naming): string | undefined {
  if (field.tree === undefined) return report.error(field, 'missing, expected a name');
  return readSyntax(report, field, {
    accepts: naming.name === 'label' ? isDnsLabel : isDnsSubdomain,
    what: 'a name',
    expected: naming.name === 'label' ? expectedDnsLabel : expectedDnsSubdomain,
  });
}

function readNamespace(report: ObjectReport, field: Field, naming: Naming): string | undefined {
  if (!naming.namespaced) {
    return field.tree === undefined ? '' : report.error(field, 'set, expected none: this kind is not namespaced');
  }
  if (field.tree === undefined) return 'default';
  const text = readString(report, field);
  if (text === '') return 'default';
  if (text === undefined || isDnsLabel(text)) return text;
  return report.error(field, `${quote(text)} is not a namespace, expected ${expectedDnsLabel}`);
}

/** RFC 3339, in milliseconds since 1970. */
function readTimestamp(report: ObjectReport, field: Field): number | undefined {
  const isTimestamp = (one: string) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(one) && !Number.isNaN(Date.parse(one));
  const expected = 'one such as "2026-01-31T12:00:00Z"';
  const text = readSyntax(report, field, { accepts: isTimestamp, what: 'a timestamp', expected });
  return text === undefined ? undefined : Date.parse(text);
}

/** A ReplicaSet's name is its Deployment's, `-` and the value of the label pod-template-hash. */
function readOwner(report: ObjectReport, field: Field, labels: Labels): string | undefined {
  for (const owner of readMapItems(report, field)) {
    const kind = readString(report, child(owner, 'kind'));
    const name = readString(report, child(owner, 'name'));
    if (kind === 'Deployment') return name;
    const suffix = `-${labels['pod-template-hash'] ?? ''}`;
    if (kind === 'ReplicaSet' && suffix !== '-' && name?.endsWith(suffix) === true)
      return name.slice(0, -suffix.length);
  }
  return undefined;
}
