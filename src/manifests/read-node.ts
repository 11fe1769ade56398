/** Namespace and Node. */
import type { Labels, ManifestLocation, Namespace } from '../cluster/objects.ts';
import { leavingTaint } from '../cluster/objects.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import { checkFields, child, readMap, readMapItems, readString } from './fields.ts';
import { nodeSpecFields } from './known-fields.ts';
import type { ParsedNode, Stated } from './parsed.ts';
import type { Metadata } from './read-metadata.ts';
import { readAll, readCidr, readUnicastIp } from './read-values.ts';

export function readNamespace(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): Namespace {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const { name, labels, uid } = metadata;
  return {
    kind: 'Namespace',
    name,
    labels: namespaceLabels(name, labels),
    ...(uid === undefined ? {} : { uid }),
    location,
  };
}

/** The API server always sets the name as a label, whatever the object says. */
export function namespaceLabels(name: string, labels: Labels): Labels {
  return { ...labels, 'kubernetes.io/metadata.name': name };
}

export function readNode(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): ParsedNode {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const { name, labels, uid } = metadata;
  const spec = child(root, 'spec');
  const status = child(root, 'status');
  readMap(report, spec);
  readMap(report, status);
  checkFields(report, spec, nodeSpecFields);
  return {
    kind: 'Node',
    name,
    labels,
    addresses: readAddresses(report, child(status, 'addresses')),
    podCidrs: readPodCidrs(report, spec),
    ...(metadata.terminating || hasLeavingTaint(report, spec) ? { leaving: true } : {}),
    ...(uid === undefined ? {} : { uid }),
    location,
  };
}

function hasLeavingTaint(report: ObjectReport, spec: Field): boolean {
  const keys = readMapItems(report, child(spec, 'taints')).map((taint) => readString(report, child(taint, 'key')));
  return keys.includes(leavingTaint);
}

/** A list with no InternalIP states none. */
function readAddresses(report: ObjectReport, field: Field): Stated<IpAddress> {
  const values = readMapItems(report, field).flatMap((item) => {
    if (readString(report, child(item, 'type')) !== 'InternalIP') return [];
    return readUnicastIp(report, child(item, 'address')) ?? [];
  });
  return { values, whole: field.tree !== undefined };
}

function readPodCidrs(report: ObjectReport, spec: Field): Stated<Cidr> {
  const list = child(spec, 'podCIDRs');
  if (list.tree === undefined) {
    const single = readCidr(report, child(spec, 'podCIDR'));
    return { values: single === undefined ? [] : [single], whole: false };
  }
  const values = readAll(report, list, readCidr);
  if (new Set(values.map((cidr) => cidr.family)).size < values.length) {
    report.error(list, 'two CIDRs of one family, expected one of each at most');
  }
  return { values, whole: true };
}
