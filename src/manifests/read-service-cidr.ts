/** ServiceCIDR. */
import type { ManifestLocation, ServiceCidr } from '../cluster/objects.ts';
import type { Field, ObjectReport } from './fields.ts';
import { checkFields, child, readMap } from './fields.ts';
import type { Metadata } from './read-metadata.ts';
import { readAll, readCidr } from './read-values.ts';

export function readServiceCidr(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): ServiceCidr {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const { name, labels, uid } = metadata;
  const spec = child(root, 'spec');
  readMap(report, spec);
  checkFields(report, spec, ['cidrs']);
  const list = child(spec, 'cidrs');
  const cidrs = readAll(report, list, readCidr);
  if (cidrs.length === 0 && !report.failedUnder(list.path)) report.error(list, 'missing, expected at least one CIDR');
  if (new Set(cidrs.map(({ family }) => family)).size < cidrs.length) {
    report.error(list, 'two CIDRs of one family, expected one of each at most');
  }
  return { kind: 'ServiceCIDR', name, labels, cidrs, ...(uid === undefined ? {} : { uid }), location };
}
