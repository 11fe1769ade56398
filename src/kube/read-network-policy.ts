/**
 * NetworkPolicies, by the same strict rules as those of manifests: what the API server accepts and Sluice does not know (a
 * field of a later version) would widen or narrow the policy in silence. Such a policy isolates its pods and allows nothing.
 */
import type { NetworkPolicy } from '../cluster/objects.ts';
import { child, ObjectReport } from '../manifests/fields.ts';
import { readNetworkPolicy as readPolicyFields } from '../manifests/read-policy.ts';
import type { ApiObject } from './api-object.ts';
import { labelsOf } from './api-object.ts';
import { treeOf } from './json-tree.ts';
import type { Reading } from './reading.ts';

/** Undefined where it cannot be read which pods it selects. */
export function readNetworkPolicy(object: ApiObject, reading: Reading): NetworkPolicy | undefined {
  const { name, namespace, uid, metadata, json } = object;
  const root = { path: '', line: 0, tree: treeOf(json) };
  const report = new ObjectReport();
  const policy = readPolicyFields(report, root, {
    name,
    namespace,
    uid,
    labels: labelsOf(metadata['labels']),
    annotations: child(root, 'metadata'),
    terminating: false,
  });
  for (const { severity, path, message } of report.problems) reading.problems.push({ severity, path, message });
  if (report.failed) reading.problems.push({ severity: 'error', path: '', message: outcomeOf(policy) });
  return policy;
}

/** The user must know whether it protects anything. */
function outcomeOf(policy: NetworkPolicy | undefined): string {
  if (policy === undefined) return 'isolates nothing: which pods it selects cannot be read';
  const { isolatesIngress, isolatesEgress } = policy;
  const directions = [...(isolatesIngress ? ['ingress'] : []), ...(isolatesEgress ? ['egress'] : [])].join(' and ');
  return `isolates the pods it selects (${directions}) and allows nothing until its errors are mended`;
}
