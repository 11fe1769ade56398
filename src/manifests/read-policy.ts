/**
 * NetworkPolicy, checked as the API server checks it and stricter: a field that is not known is an error here, because a
 * misspelt field would widen the policy in silence. A malformed policy stays as one that isolates and allows nothing.
 */
import type {
  ManifestLocation,
  NetworkPolicy,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Protocol,
} from '../cluster/objects.ts';
import { everything } from '../cluster/selector.ts';
import type { Cidr } from '../lib/ip.ts';
import { cidrContains, formatCidr } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import { checkFields, child, readInteger, readItems, readMap, readMapItems, readWord } from './fields.ts';
import { mistakeAnnotation, parseMistake } from './location.ts';
import type { Metadata } from './read-metadata.ts';
import { readCidr, readPort, readProtocol, readSelector } from './read-values.ts';

const specFields = ['podSelector', 'policyTypes', 'ingress', 'egress'];
const policyTypes = ['Ingress', 'Egress'] as const;

type PolicyType = (typeof policyTypes)[number];

/** Undefined where the policy cannot be named or what it selects cannot be read: such a policy isolates nothing. */
export function readNetworkPolicy(
  report: ObjectReport,
  root: Field,
  metadata: Metadata | undefined,
  location?: ManifestLocation,
): NetworkPolicy | undefined {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status'], 'error');
  const spec = child(root, 'spec');
  readMap(report, spec);
  checkFields(report, spec, specFields, 'error');
  const selector = readSelector(report, child(spec, 'podSelector'), 'error');
  const types = readPolicyTypes(report, child(spec, 'policyTypes'));
  const ingress = readRules(report, child(spec, 'ingress'), 'from');
  const egress = readRules(report, child(spec, 'egress'), 'to');
  if (metadata === undefined || !isSelectorReadable(report, root)) return undefined;
  if (selector === undefined)
    report.warning(child(spec, 'podSelector'), 'missing, every pod of the namespace is selected');
  const { name, namespace, uid } = metadata;
  return {
    kind: 'NetworkPolicy',
    name,
    namespace,
    podSelector: selector ?? everything,
    ...isolation(report, spec, types),
    ingress: report.failed ? [] : ingress,
    egress: report.failed ? [] : egress,
    ...malformed(report, metadata, { hasRules: ingress.length + egress.length > 0, hasFile: location !== undefined }),
    ...(uid === undefined ? {} : { uid }),
    ...(location === undefined ? {} : { location }),
  };
}

/** Where it is wrong here, or (in a file that a lab wrote) was wrong in the file that it was made from. */
function malformed(
  report: ObjectReport,
  metadata: Metadata,
  { hasRules, hasFile }: { readonly hasRules: boolean; readonly hasFile: boolean },
): Pick<NetworkPolicy, 'malformed'> {
  const first = report.problems.find(({ severity }) => severity === 'error');
  if (first !== undefined) return { malformed: { path: first.path, ...(hasFile ? { line: first.line } : {}) } };
  const stated = child(metadata.annotations, mistakeAnnotation).tree;
  if (hasRules || stated?.kind !== 'scalar' || typeof stated.value !== 'string') return {};
  const mistake = parseMistake(stated.value);
  return mistake === undefined ? {} : { malformed: mistake };
}

function isSelectorReadable(report: ObjectReport, root: Field): boolean {
  const spec = child(root, 'spec');
  const isBroken =
    report.failedAt('metadata') ||
    report.failedUnder('metadata.name') ||
    report.failedUnder('metadata.namespace') ||
    report.failedAt('spec') ||
    report.failedUnder('spec.podSelector');
  if (isBroken) return false;
  // Where the selector is missing, an unknown field beside it may be the selector, misspelt.
  if (spec.tree === undefined) return !hasUnknown(root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  return child(spec, 'podSelector').tree !== undefined || !hasUnknown(spec, specFields);
}

/** As the API server fills in: no policyTypes is Ingress, and Egress too where there is an egress rule. Both where it cannot be read. */
function isolation(
  report: ObjectReport,
  spec: Field,
  types: readonly PolicyType[],
): Pick<NetworkPolicy, 'isolatesIngress' | 'isolatesEgress'> {
  const isStated = countItems(child(spec, 'policyTypes')) > 0;
  const isUnreadable =
    report.failedUnder('spec.policyTypes') ||
    (!isStated && (hasUnknown(spec, specFields) || report.failedAt('spec.egress')));
  if (isUnreadable) return { isolatesIngress: true, isolatesEgress: true };
  if (!isStated) return { isolatesIngress: true, isolatesEgress: countItems(child(spec, 'egress')) > 0 };
  return { isolatesIngress: types.includes('Ingress'), isolatesEgress: types.includes('Egress') };
}

function readPolicyTypes(report: ObjectReport, field: Field): readonly PolicyType[] {
  const items = readItems(report, field);
  if (items.length > policyTypes.length)
    report.error(field, `${items.length} entries, expected at most Ingress and Egress`);
  return items.flatMap((item) => {
    if (item.tree === undefined) report.error(item, 'empty, expected Ingress or Egress');
    return readWord(report, item, policyTypes) ?? [];
  });
}

function readRules(report: ObjectReport, field: Field, peersKey: 'from' | 'to'): readonly PolicyRule[] {
  return readMapItems(report, field).map((rule) => {
    checkFields(report, rule, [peersKey, 'ports'], 'error');
    const peers = readMapItems(report, child(rule, peersKey)).flatMap((peer) => readPeer(report, peer) ?? []);
    const ports = readMapItems(report, child(rule, 'ports')).flatMap((port) => readPolicyPort(report, port) ?? []);
    return {
      path: rule.path,
      ...(peers.length === 0 ? {} : { peers }),
      ...(ports.length === 0 ? {} : { ports }),
    };
  });
}

function readPeer(report: ObjectReport, field: Field): PolicyPeer | undefined {
  checkFields(report, field, ['podSelector', 'namespaceSelector', 'ipBlock'], 'error');
  const { path } = field;
  const block = child(field, 'ipBlock');
  const podSelector = readSelector(report, child(field, 'podSelector'), 'error');
  const namespaceSelector = readSelector(report, child(field, 'namespaceSelector'), 'error');
  if (block.tree !== undefined) {
    const isAlone =
      child(field, 'podSelector').tree === undefined && child(field, 'namespaceSelector').tree === undefined;
    if (!isAlone) report.error(block, 'stands beside a selector, expected an ipBlock alone in its peer');
    return readIpBlock(report, block, path);
  }
  if (podSelector !== undefined || namespaceSelector !== undefined) {
    return {
      kind: 'pods',
      path,
      ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
      ...(podSelector === undefined ? {} : { podSelector }),
    };
  }
  if (report.failedUnder(path)) return undefined;
  return report.error(field, 'no peer, expected podSelector, namespaceSelector or ipBlock');
}

function readIpBlock(report: ObjectReport, field: Field, path: string): PolicyPeer | undefined {
  if (readMap(report, field) === undefined) return undefined;
  checkFields(report, field, ['cidr', 'except'], 'error');
  const cidrField = child(field, 'cidr');
  if (cidrField.tree === undefined) return report.error(cidrField, 'missing, expected a CIDR such as 10.0.0.0/8');
  const cidr = readCidr(report, cidrField);
  const except = readItems(report, child(field, 'except')).flatMap((item) => readExcept(report, item, cidr) ?? []);
  return cidr === undefined ? undefined : { kind: 'ipBlock', path, cidr, except };
}

function readExcept(report: ObjectReport, field: Field, cidr: Cidr | undefined): Cidr | undefined {
  if (field.tree === undefined) return report.error(field, 'empty, expected a CIDR');
  const except = readCidr(report, field);
  if (except === undefined || cidr === undefined) return except;
  const isInside = cidrContains(cidr, except.address) && except.prefixLength > cidr.prefixLength;
  if (isInside) return except;
  return report.error(
    field,
    `${formatCidr(except)} is not inside of ${formatCidr(cidr)}, expected a smaller part of it`,
  );
}

function readPolicyPort(report: ObjectReport, field: Field): PolicyPort | undefined {
  checkFields(report, field, ['protocol', 'port', 'endPort'], 'error');
  const { path } = field;
  const portField = child(field, 'port');
  const endField = child(field, 'endPort');
  const protocol = readProtocol(report, child(field, 'protocol'));
  const port = readPort(report, portField);
  const end = readInteger(report, endField, { what: 'a port', first: 1, last: 65535 });
  if (endField.tree !== undefined && portField.tree === undefined) {
    return report.error(endField, 'set without port, expected the first port of the range in port');
  }
  if (protocol === undefined) return undefined;
  if (portField.tree === undefined) return { kind: 'any', protocol, path };
  if (typeof port === 'string') {
    if (endField.tree === undefined) return { kind: 'named', protocol, name: port, path };
    return report.error(endField, 'set beside a port name, expected a number in port');
  }
  return port === undefined
    ? undefined
    : portRange(report, endField, { protocol, first: port, last: end ?? port, path });
}

function portRange(
  report: ObjectReport,
  endField: Field,
  range: { protocol: Protocol; first: number; last: number; path: string },
): PolicyPort | undefined {
  if (range.last >= range.first) return { kind: 'range', ...range };
  return report.error(endField, `${range.last} is below port, expected ${range.first}-65535`);
}

function hasUnknown(field: Field, known: readonly string[]): boolean {
  return field.tree?.kind === 'map' && [...field.tree.entries.keys()].some((key) => !known.includes(key));
}

function countItems(field: Field): number {
  return field.tree?.kind === 'list' ? field.tree.items.length : 0;
}
