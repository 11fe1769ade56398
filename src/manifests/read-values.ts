/** Fields that many kinds share: addresses, CIDRs, ports, labels, selectors. */
import type { LabelOperator, LabelRequirement, LabelSelector, Labels, Protocol } from '../cluster/objects.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { familyOf, formatCidr, ipToInteger, parseCidr, parseIp } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import {
  alternatives,
  checkFields,
  child,
  describe,
  quote,
  readEntries,
  readItems,
  readMap,
  readMapItems,
  readString,
  readSyntax,
  readWord,
} from './fields.ts';
import {
  expectedLabelKey,
  expectedLabelValue,
  expectedPortName,
  isLabelKey,
  isLabelValue,
  isPortName,
  isPortNumber,
} from './syntax.ts';

const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];
const operators: readonly LabelOperator[] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** TCP where nothing is stated. */
export function readProtocol(report: ObjectReport, field: Field): Protocol | undefined {
  return field.tree === undefined ? 'TCP' : readWord(report, field, protocols);
}

export function readIp(report: ObjectReport, field: Field): IpAddress | undefined {
  const text = readString(report, field);
  if (text === undefined) return undefined;
  const address = parseIp(text);
  return (
    address ?? report.error(field, `${quote(text)} is not an IP address, expected one such as 10.0.0.1 or fd00::1`)
  );
}

/** An address that packets can be sent to. */
export function readUnicastIp(report: ObjectReport, field: Field): IpAddress | undefined {
  const address = readIp(report, field);
  if (address === undefined || !isSpecial(address)) return address;
  return report.error(
    field,
    `${address} is a loopback, link-local, multicast or unspecified address, expected a unicast one`,
  );
}

/** Host bits are cleared, with a warning, as the API server does. */
export function readCidr(report: ObjectReport, field: Field): Cidr | undefined {
  const text = readString(report, field);
  if (text === undefined) return undefined;
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    const address = parseIp(text);
    if (address === undefined) {
      return report.error(field, `${quote(text)} is not a CIDR, expected one such as 10.0.0.0/8 or fd00::/8`);
    }
    const bits = familyOf(address) === 'ipv4' ? 32 : 128;
    return report.error(field, `${address} is an address, expected a CIDR: write ${address}/${bits}`);
  }
  const [host = ''] = text.split('/');
  const address = parseIp(host);
  if (address !== cidr.address) report.warning(field, `${text} has host bits set, it is read as ${formatCidr(cidr)}`);
  return cidr;
}

/** The items that could be read. */
export function readAll<T>(
  report: ObjectReport,
  field: Field,
  readItem: (report: ObjectReport, item: Field) => T | undefined,
): readonly T[] {
  return readItems(report, field).flatMap((item) => {
    if (item.tree === undefined) report.error(item, 'empty, expected a value');
    const value = readItem(report, item);
    return value === undefined ? [] : [value];
  });
}

/** A port by number or by name (IntOrString). */
export function readPort(report: ObjectReport, field: Field): number | string | undefined {
  const { tree } = field;
  if (tree === undefined) return undefined;
  const expected = 'expected 1-65535 or a port name';
  if (tree.kind !== 'scalar' || typeof tree.value === 'boolean')
    return report.error(field, `${describe(tree)}, ${expected}`);
  if (typeof tree.value === 'number') {
    return isPortNumber(tree.value)
      ? tree.value
      : report.error(field, `${tree.plain ?? tree.value} is not a port, ${expected}`);
  }
  const name = readString(report, field);
  if (name === undefined || isPortName(name)) return name;
  if (isPortNumber(Number(name)))
    return report.error(field, `${quote(name)} is a string, expected the number without quotes`);
  return report.error(field, `${quote(name)} is not a port name, expected ${expectedPortName}`);
}

export function readLabels(report: ObjectReport, field: Field): Labels {
  const labels: Record<string, string> = {};
  for (const [key, entry] of readEntries(report, field)) {
    if (!isLabelKey(key)) report.error(entry, `${quote(key)} is not a label key, expected ${expectedLabelKey}`);
    // A null value is the empty string to the API server.
    const value = entry.tree === undefined ? '' : readLabelValue(report, entry);
    if (value !== undefined && isLabelKey(key)) labels[key] = value;
  }
  return labels;
}

/** Absent: undefined, which is not the same as empty. */
export function readSelector(
  report: ObjectReport,
  field: Field,
  unknown: 'error' | 'warning',
): LabelSelector | undefined {
  if (readMap(report, field) === undefined) return undefined;
  checkFields(report, field, ['matchLabels', 'matchExpressions'], unknown);
  const expressions = readMapItems(report, child(field, 'matchExpressions'));
  return {
    matchLabels: readLabels(report, child(field, 'matchLabels')),
    matchExpressions: expressions.flatMap((item) => readRequirement(report, item, unknown) ?? []),
  };
}

function readRequirement(
  report: ObjectReport,
  field: Field,
  unknown: 'error' | 'warning',
): LabelRequirement | undefined {
  checkFields(report, field, ['key', 'operator', 'values'], unknown);
  const operatorField = child(field, 'operator');
  const valuesField = child(field, 'values');
  const key = readLabelKey(report, child(field, 'key'));
  const operator = readWord(report, operatorField, operators);
  const values = readAll(report, valuesField, readLabelValue);
  if (operatorField.tree === undefined) report.error(operatorField, `missing, expected ${alternatives(operators)}`);
  if (key === undefined || operator === undefined) return undefined;
  const wantsValues = operator === 'In' || operator === 'NotIn';
  const stated = valuesField.tree?.kind === 'list' ? valuesField.tree.items.length : 0;
  if (wantsValues === stated > 0) return { key, operator, values };
  const message = wantsValues ? 'empty, expected at least one value' : 'not empty, expected no values';
  return report.error(valuesField, `${message} for ${operator}`);
}

function readLabelKey(report: ObjectReport, field: Field): string | undefined {
  if (field.tree === undefined) return report.error(field, 'missing, expected a label key');
  return readSyntax(report, field, { accepts: isLabelKey, what: 'a label key', expected: expectedLabelKey });
}

function readLabelValue(report: ObjectReport, field: Field): string | undefined {
  const value = readString(report, field);
  if (value === undefined || isLabelValue(value)) return value;
  return report.error(field, `${quote(value)} is not a label value, expected ${expectedLabelValue}`);
}

function isSpecial(address: IpAddress): boolean {
  const value = ipToInteger(address);
  if (familyOf(address) === 'ipv4') {
    const high = value >> 24n;
    return value === 0n || high === 127n || value >> 16n === 0xa9fen || value >> 8n === 0xe00000n;
  }
  return value === 0n || value === 1n || value >> 118n === 0x3fan || value >> 112n === 0xff02n;
}
