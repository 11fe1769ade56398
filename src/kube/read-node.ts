/** Namespaces, Nodes and ServiceCIDRs. */
import type { Namespace, Node, ServiceCidr } from '../cluster/objects.ts';
import { leavingTaint } from '../cluster/objects.ts';
import type { ApiObject } from './api-object.ts';
import { labelsOf, listOf, recordOf } from './api-object.ts';
import type { Reading } from './reading.ts';
import { eachOf } from './reading.ts';

export function readNamespace({ name, uid, metadata }: ApiObject): Namespace {
  return { kind: 'Namespace', name, uid, labels: labelsOf(metadata['labels']) };
}

export function readNode({ name, uid, metadata, json }: ApiObject, reading: Reading): Node {
  const spec = recordOf(json['spec']);
  const list = listOf(spec['podCIDRs']);
  const podCidrs = list.length === 0 ? [spec['podCIDR']] : list;
  return {
    kind: 'Node',
    name,
    uid,
    labels: labelsOf(metadata['labels']),
    addresses: eachOf(listOf(recordOf(json['status'])['addresses']), (item, index) => {
      const { type, address } = recordOf(item);
      return type === 'InternalIP' ? reading.ip(address, `status.addresses[${index}].address`) : undefined;
    }),
    ...(isLeaving(metadata, spec) ? { leaving: true } : {}),
    podCidrs: eachOf(podCidrs, (item, index) => reading.cidr(item, `spec.podCIDRs[${index}]`)),
  };
}

function isLeaving(metadata: ApiObject['metadata'], spec: ReturnType<typeof recordOf>): boolean {
  const taints = listOf(spec['taints']).map((taint) => recordOf(taint)['key']);
  return typeof metadata['deletionTimestamp'] === 'string' || taints.includes(leavingTaint);
}

export function readServiceCidr({ name, uid, metadata, json }: ApiObject, reading: Reading): ServiceCidr {
  return {
    kind: 'ServiceCIDR',
    name,
    uid,
    labels: labelsOf(metadata['labels']),
    cidrs: eachOf(listOf(recordOf(json['spec'])['cidrs']), (item, index) => reading.cidr(item, `spec.cidrs[${index}]`)),
  };
}
