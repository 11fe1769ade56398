/** EndpointSlice: endpoints that somebody writes by hand. */
import type { Endpoint, EndpointPort, EndpointSlice, ManifestLocation } from '../cluster/objects.ts';
import type { IpAddress } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import {
  checkFields,
  child,
  descend,
  readBoolean,
  readInteger,
  readItems,
  readMapItems,
  readString,
  readSyntax,
  readWord,
} from './fields.ts';
import { endpointFields } from './known-fields.ts';
import type { Metadata } from './read-metadata.ts';
import { readProtocol, readUnicastIp } from './read-values.ts';
import { expectedDnsLabel, isDnsLabel } from './syntax.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';

const addressTypes = ['IPv4', 'IPv6', 'FQDN'] as const;

type AddressType = (typeof addressTypes)[number];

export function readEndpointSlice(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): EndpointSlice {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'addressType', 'endpoints', 'ports']);
  const { name, namespace, labels, uid } = metadata;
  const typeField = child(root, 'addressType');
  if (typeField.tree === undefined) report.error(typeField, 'missing, expected IPv4, IPv6 or FQDN');
  const addressType = readWord(report, typeField, addressTypes) ?? 'IPv4';
  const service = labels[serviceNameLabel] ?? '';
  if (service === '') {
    report.warning(
      descend(root, 'metadata', 'labels'),
      `no label ${serviceNameLabel}, the slice belongs to no Service`,
    );
  }
  return {
    kind: 'EndpointSlice',
    name,
    namespace,
    labels,
    service,
    addressType,
    ports: readMapItems(report, child(root, 'ports')).flatMap((item) => readEndpointPort(report, item) ?? []),
    endpoints: readMapItems(report, child(root, 'endpoints')).map((item) =>
      readEndpoint(report, item, { namespace, addressType }),
    ),
    ...(uid === undefined ? {} : { uid }),
    location,
  };
}

function readEndpointPort(report: ObjectReport, field: Field): EndpointPort | undefined {
  checkFields(report, field, ['name', 'port', 'protocol', 'appProtocol']);
  const nameField = child(field, 'name');
  const isUnnamed = nameField.tree?.kind === 'scalar' && nameField.tree.value === '';
  const label = { accepts: isDnsLabel, what: 'a port name', expected: expectedDnsLabel };
  const name = isUnnamed ? '' : (readSyntax(report, nameField, label) ?? '');
  const protocol = readProtocol(report, child(field, 'protocol'));
  const port = readInteger(report, child(field, 'port'), { what: 'a port', first: 1, last: 65535 });
  if (protocol === undefined) return undefined;
  return { name, protocol, ...(port === undefined ? {} : { port }) };
}

function readEndpoint(
  report: ObjectReport,
  field: Field,
  slice: { readonly namespace: string; readonly addressType: AddressType },
): Endpoint {
  checkFields(report, field, endpointFields);
  const conditions = child(field, 'conditions');
  checkFields(report, conditions, ['ready', 'serving', 'terminating']);
  const nodeName = readString(report, child(field, 'nodeName'));
  const zone = readString(report, child(field, 'zone'));
  const pod = readTarget(report, child(field, 'targetRef'), slice.namespace);
  return {
    addresses: readAddresses(report, child(field, 'addresses'), slice.addressType),
    ready: readBoolean(report, child(conditions, 'ready')) ?? true,
    serving: readBoolean(report, child(conditions, 'serving')) ?? true,
    terminating: readBoolean(report, child(conditions, 'terminating')) ?? false,
    hintZones: readHints(report, descend(field, 'hints', 'forZones')),
    hintNodes: readHints(report, descend(field, 'hints', 'forNodes')),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    ...(pod === undefined ? {} : { pod }),
  };
}

/** Names are of no use to a node agent, so those of an FQDN slice are left out. */
function readAddresses(report: ObjectReport, field: Field, type: AddressType): readonly IpAddress[] {
  const items = readItems(report, field);
  if (type === 'FQDN') return [];
  if (items.length === 0 && !report.failedAt(field.path)) report.error(field, 'missing, expected at least one address');
  return items.flatMap((item) => {
    if (item.tree === undefined) report.error(item, `empty, expected an ${type} address`);
    const address = readUnicastIp(report, item);
    if (address === undefined) return [];
    if (familyOf(address) === type.toLowerCase()) return [address];
    return report.error(item, `${address} is not an ${type} address, expected the slice's addressType`) ?? [];
  });
}

function readHints(report: ObjectReport, field: Field): readonly string[] {
  return readMapItems(report, field).flatMap((item) => readString(report, child(item, 'name')) ?? []);
}

function readTarget(report: ObjectReport, field: Field, namespace: string): string | undefined {
  const kind = readString(report, child(field, 'kind'));
  const name = readString(report, child(field, 'name'));
  if (kind !== 'Pod' || name === undefined) return undefined;
  return `${readString(report, child(field, 'namespace')) ?? namespace}/${name}`;
}
